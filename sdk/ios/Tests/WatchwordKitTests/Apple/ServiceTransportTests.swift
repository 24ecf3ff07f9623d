import Foundation
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import WatchwordKit

@Suite struct ServiceTransportTests {
    private let transport = ServiceTransport()

    private func answered(_ reply: Reply) async throws -> Answer {
        let server = try SocketServer { _, _ in reply }
        defer { server.close() }
        return try await transport.get(server.url + "/x", headers: [:], timeout: 30)
    }

    private func failed(_ reply: Reply, timeout: Double = 30) async throws -> (any Error)? {
        let server = try SocketServer { _, _ in reply }
        defer { server.close() }
        do {
            _ = try await transport.post(server.url + "/x", headers: [:], body: Data("{}".utf8), timeout: timeout)
            return nil
        } catch {
            return error
        }
    }

    @Test func sendsWhatItIsGiven() async throws {
        let server = try SocketServer { _, _ in .text(201, "{}", ["X-Case": "Kept"]) }
        defer { server.close() }
        let body = Data((0..<200).map { UInt8($0) })
        let answer = try await transport.post(
            server.url + "/v1/tokens?a=%2F", headers: ["Content-Type": "application/json"], body: body, timeout: 30)
        #expect(answer.status == 201)
        #expect(answer.body == Data("{}".utf8))
        #expect(answer.headers["x-case"] == "Kept")
        let seen = try #require(server.seen.first)
        #expect(seen.method == "POST")
        #expect(seen.target == "/v1/tokens?a=%2F")
        #expect(seen.header("Content-Type") == "application/json")
        #expect(seen.header("Accept-Encoding") == "identity")
        #expect(seen.body == body)
    }

    @Test func getHasNoBody() async throws {
        let server = try SocketServer { _, _ in .text(200, "keys") }
        defer { server.close() }
        #expect(try await transport.get(server.url + "/k", headers: ["X": "y"], timeout: 30).body == Data("keys".utf8))
        let seen = try #require(server.seen.first)
        #expect(seen.method == "GET")
        #expect(seen.header("X") == "y")
        #expect(seen.body.isEmpty)
    }

    @Test func keepsNoCookies() async throws {
        let server = try SocketServer { _, _ in .text(200, "", ["Set-Cookie": "a=b; Path=/"]) }
        defer { server.close() }
        for _ in 1...2 { _ = try await transport.get(server.url + "/", headers: [:], timeout: 30) }
        #expect(server.seen.allSatisfy { $0.header("Cookie") == nil })
        #expect(server.seen.count == 2)
    }

    @Test func cachesNothing() async throws {
        let server = try SocketServer { _, number in .text(200, "\(number)", ["Cache-Control": "max-age=3600"]) }
        defer { server.close() }
        for number in 1...2 {
            #expect(try await transport.get(server.url + "/", headers: [:], timeout: 30).body == Data("\(number)".utf8))
        }
    }

    @Test func followsNoRedirect() async throws {
        let elsewhere = try SocketServer { _, _ in .text(200, "stolen") }
        let server = try SocketServer { _, _ in .text(307, "moved", ["Location": elsewhere.url + "/y"]) }
        defer {
            server.close()
            elsewhere.close()
        }
        let answer = try await transport.post(server.url + "/x", headers: [:], body: Data("{}".utf8), timeout: 30)
        #expect(answer.status == 307)
        #expect(elsewhere.seen.isEmpty)
    }

    @Test func anAnswerHas64KiBAtMost() async throws {
        #expect(try await answered(.answer(200, [:], Data(count: 65536))).body.count == 65536)
        #expect(try await failed(.answer(200, [:], Data(count: 65537))) is UnreadableAnswerError)
        #expect(try await failed(.answer(200, [:], Data(count: 70_000))) is UnreadableAnswerError)
        #expect(try await failed(.answer(500, [:], Data(count: 10_000_000))) is UnreadableAnswerError)
    }

    @Test func aCompressedAnswerIsNone() async throws {
        // 30 bytes of gzip for "hello".
        let zipped = try #require(Data(base64Encoded: "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="))
        #expect(try await failed(.answer(200, ["Content-Encoding": "gzip"], zipped)) != nil)
        #expect(try await answered(.answer(200, ["Content-Encoding": "Identity"], Data("x".utf8))).body == Data("x".utf8))
    }

    @Test func aCaptivePortalIsTheCoresToJudge() async throws {
        let answer = try await answered(.text(200, "<html>Log in</html>", ["Content-Type": "text/html"]))
        #expect(answer.headers["content-type"] == "text/html")
    }

    @Test func noAnswerIsAnError() async throws {
        for reply in [Reply.drop, .raw("SSH-2.0\r\n"), .raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")] {
            let error = try await failed(reply)
            #expect(error is URLError, "\(reply): \(String(describing: error))")
        }
        await #expect(throws: URLError.self) { _ = try await transport.get("http://127.0.0.1:1/", headers: [:], timeout: 30) }
        await #expect(throws: URLError.self) { _ = try await transport.get("", headers: [:], timeout: 30) }
    }

    @Test func aStalledAnswerHasAnEnd() async throws {
        #expect((try await failed(.stall, timeout: 0.3) as? URLError)?.code == .timedOut)
    }

    @Test func aCancelledTaskEndsItsRequest() async throws {
        let server = try SocketServer { _, _ in .stall }
        defer { server.close() }
        let task = Task { try await transport.get(server.url + "/", headers: [:], timeout: 600) }
        while server.seen.isEmpty { await Task.yield() }
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
    }

    @Test func whoIsAboutToSendWhenPinsChangeEndsNoApp() async throws {
        let connections = Connections(.ephemeral, pins: nil, generation: 0)
        connections.enter()
        connections.close()
        // Invalidated by another thread in between; Linux does so on a queue that this task waits for.
        let first = connections.session.dataTask(with: try #require(URL(string: "http://127.0.0.1:1/")))
        first.cancel()
        let second = connections.session.dataTask(with: try #require(URL(string: "http://127.0.0.1:1/")))
        second.cancel()
        connections.leave()
    }
}
