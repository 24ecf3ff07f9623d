import Foundation
import Glibc

/// A server on loopback that answers as a test says, or drops connections. One request for each connection.
final class LoopbackServer: @unchecked Sendable {  // `lock` guards `received`; all else is set once.
    struct Request: Sendable {
        let method: String
        let target: String
        let headers: [String: String]
        let body: Data

        /// Names of ours that came over the wire.
        var ours: [String] { headers.keys.filter { $0.hasPrefix("watchword") || $0.hasPrefix("signature") }.sorted() }
    }

    struct Reply: Sendable {
        var status = 200
        var headers: [String: String] = [:]
        var body = Data()
        var isDropped = false

        static let drop = Reply(isDropped: true)

        static func text(_ text: String) -> Reply { Reply(body: Data(text.utf8)) }

        static func problem(_ type: String) -> Reply {
            let body = #"{"type":"urn:watchword:problem:\#(type)","title":"no","status":401}"#
            return Reply(status: 401, headers: ["Content-Type": "application/problem+json"], body: Data(body.utf8))
        }
    }

    let port: UInt16
    private let socket: Int32
    private let lock = NSLock()
    private var received: [Request] = []
    private let respond: @Sendable (Request) -> Reply

    init(_ respond: @escaping @Sendable (Request) -> Reply) throws {
        self.respond = respond
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.socket = socket
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { held in
                bind(socket, held, size) == 0 && listen(socket, 50) == 0 && getsockname(socket, held, &size) == 0
            }
        }
        guard isBound else { throw URLError(.cannotConnectToHost) }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(socket, nil, nil)
                guard connection >= 0, let self else { return }
                Thread.detachNewThread { self.serve(connection) }
            }
        }
    }

    deinit {
        shutdown(socket, Int32(SHUT_RDWR))
        close(socket)
    }

    var url: String { "http://127.0.0.1:\(port)" }

    var requests: [Request] {
        lock.lock()
        defer { lock.unlock() }
        return received
    }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        guard let request = read(connection) else { return }
        lock.lock()
        received.append(request)
        lock.unlock()
        let reply = respond(request)
        if reply.isDropped { return }
        var head = "HTTP/1.1 \(reply.status) Said\r\nContent-Length: \(reply.body.count)\r\nConnection: close\r\n"
        for (name, value) in reply.headers { head += "\(name): \(value)\r\n" }
        write(connection, Data("\(head)\r\n".utf8) + reply.body)
        shutdown(connection, Int32(SHUT_WR))
        // The client closes first, or its last bytes may be lost with a reset.
        var last = [UInt8](repeating: 0, count: 1024)
        while recv(connection, &last, last.count, 0) > 0 {}
    }

    private func read(_ connection: Int32) -> Request? {
        var data = Data()
        let end = Data("\r\n\r\n".utf8)
        while data.range(of: end) == nil {
            guard let more = piece(connection) else { return nil }
            data.append(more)
        }
        guard let split = data.range(of: end) else { return nil }
        let lines = String(decoding: data[..<split.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].components(separatedBy: " ")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces) }
        }
        if headers["expect"] != nil { write(connection, Data("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        var body = Data(data[split.upperBound...])
        if headers["transfer-encoding"] == "chunked" {
            while body.range(of: Data("0\r\n\r\n".utf8)) == nil {
                guard let more = piece(connection) else { return nil }
                body.append(more)
            }
            body = Self.unchunked(body)
        }
        while body.count < Int(headers["content-length"] ?? "0") ?? 0 {
            guard let more = piece(connection) else { return nil }
            body.append(more)
        }
        return Request(method: words[0], target: words[1], headers: headers, body: body)
    }

    private static func unchunked(_ data: Data) -> Data {
        var (rest, out) = (data, Data())
        while let line = rest.range(of: Data("\r\n".utf8)),
            let size = Int(String(decoding: rest[rest.startIndex..<line.lowerBound], as: UTF8.self), radix: 16), size > 0
        {
            let start = line.upperBound
            out += rest[start..<(start + size)]
            rest = Data(rest[(start + size + 2)...])
        }
        return out
    }

    private func piece(_ connection: Int32) -> Data? {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let count = recv(connection, &buffer, buffer.count, 0)
        return count > 0 ? Data(buffer[..<count]) : nil
    }

    private func write(_ connection: Int32, _ data: Data) {
        var rest = data
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent <= 0 { return }
            rest = Data(rest.dropFirst(sent))
        }
    }
}
