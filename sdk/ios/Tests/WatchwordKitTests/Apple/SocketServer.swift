import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@testable import WatchwordKit

/// A request as it came over the wire.
struct Seen: Sendable {
    let method: String
    let target: String
    let headers: [(name: String, value: String)]
    let body: Data
    /// Counted from 1, as connections are accepted.
    let connection: Int

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
}

/// What a server does with a request.
enum Reply: Sendable {
    case answer(Int, [String: String] = [:], Data = Data())
    /// Sends these bytes and closes the connection.
    case raw(String)
    /// Closes the connection without an answer.
    case drop
    /// Never answers.
    case stall

    static func text(_ status: Int, _ text: String, _ headers: [String: String] = [:]) -> Reply {
        .answer(status, headers, Data(text.utf8))
    }
}

/// A small HTTP/1.1 server on loopback, over plain sockets, that keeps connections open. `state` is locked; the rest is constant.
final class SocketServer: Sendable {
    private struct State {
        var seen: [Seen] = []
        var open: Set<Int32> = []
        var isClosed = false
    }

    let port: Int
    private let listener: Int32
    private let state = Locked(State())
    private let script: @Sendable (Seen, Int) -> Reply

    /// - Parameter script: is given a request and its number, from 1.
    init(_ script: @escaping @Sendable (Seen, Int) -> Reply) throws {
        #if canImport(Glibc)
            let stream = Int32(SOCK_STREAM.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
        let socket = socket(AF_INET, stream, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && listen(socket, 64) == 0 ? getsockname(socket, $0, &size) : -1
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
        (listener, port, self.script) = (socket, Int(UInt16(bigEndian: address.sin_port)), script)
        Thread.detachNewThread { [self] in accepting() }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var seen: [Seen] { state.withLock { $0.seen } }

    func close() {
        let open = state.withLock { state in
            state.isClosed = true
            return state.open
        }
        shutdown(listener, Int32(SHUT_RDWR))
        for each in open { shutdown(each, Int32(SHUT_RDWR)) }
    }

    private func accepting() {
        var number = 0
        while true {
            let connection = accept(listener, nil, nil)
            if connection < 0 || state.withLock({ $0.isClosed }) { break }
            number += 1
            let (socket, counted) = (connection, number)
            state.withLock { _ = $0.open.insert(socket) }
            Thread.detachNewThread { [self] in serve(socket, counted) }
        }
        _ = Self.closing(listener)
    }

    private func serve(_ socket: Int32, _ number: Int) {
        var buffer = Data()
        while let request = Self.request(socket, &buffer, number) {
            let count = state.withLock { state in
                state.seen.append(request)
                return state.seen.count
            }
            guard Self.write(script(request, count), to: socket, isHead: request.method == "HEAD") else { break }
        }
        state.withLock { _ = $0.open.remove(socket) }
        _ = Self.closing(socket)
    }

    /// Returns whether the connection stays open.
    private static func write(_ reply: Reply, to socket: Int32, isHead: Bool) -> Bool {
        switch reply {
        case .drop: return false
        case .stall:
            var byte: UInt8 = 0
            while recv(socket, &byte, 1, 0) > 0 {}
            return false
        case .raw(let text):
            _ = send(Data(text.utf8), to: socket)
            return false
        case .answer(let status, let headers, let body):
            var head = "HTTP/1.1 \(status) Status\r\nContent-Length: \(body.count)\r\n"
            for (name, value) in headers { head += "\(name): \(value)\r\n" }
            return send(Data((head + "\r\n").utf8) + (isHead ? Data() : body), to: socket)
        }
    }

    private static func request(_ socket: Int32, _ buffer: inout Data, _ connection: Int) -> Seen? {
        while buffer.range(of: Data("\r\n\r\n".utf8)) == nil { guard more(socket, &buffer) else { return nil } }
        guard let end = buffer.range(of: Data("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        buffer = Data(buffer[end.upperBound...])
        let parts = head[0].components(separatedBy: " ")
        let headers = head.dropFirst().map { line -> (name: String, value: String) in
            let halves = line.split(separator: ":", maxSplits: 1)
            return (String(halves[0]), halves.count > 1 ? halves[1].trimmingCharacters(in: .whitespaces) : "")
        }
        let length = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
        let isAsked = headers.contains { $0.name.lowercased() == "expect" }
        if isAsked { _ = send(Data("HTTP/1.1 100 Continue\r\n\r\n".utf8), to: socket) }
        while buffer.count < length { guard more(socket, &buffer) else { return nil } }
        let body = Data(buffer.prefix(length))
        buffer = Data(buffer.dropFirst(length))
        return Seen(method: parts[0], target: parts[1], headers: headers, body: body, connection: connection)
    }

    private static func more(_ socket: Int32, _ buffer: inout Data) -> Bool {
        var piece = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &piece, piece.count, 0)
        if count > 0 { buffer.append(contentsOf: piece[..<count]) }
        return count > 0
    }

    private static func send(_ data: Data, to socket: Int32) -> Bool {
        #if canImport(Glibc)
            let flags = Int32(MSG_NOSIGNAL)
        #else
            let flags: Int32 = 0
        #endif
        var sent = 0
        let bytes = [UInt8](data)
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { Foundation.send(socket, $0.baseAddress?.advanced(by: sent), bytes.count - sent, flags) }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    private static func closing(_ socket: Int32) -> Int32 { Foundation.close(socket) }
}
