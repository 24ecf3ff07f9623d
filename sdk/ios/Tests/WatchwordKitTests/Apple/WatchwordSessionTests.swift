import CryptoKit
import Foundation
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable @_spi(Phone) import WatchwordKit

private let problem = ["Content-Type": "application/problem+json"]

private func refusal(_ type: String, _ headers: [String: String] = [:]) -> Reply {
    let body = #"{"type":"urn:watchword:problem:\#(type)","title":"No","status":401}"#
    return .text(401, body, headers.merging(problem) { $1 })
}

/// Refuses a proof that was seen before, as every gate does; all else is answered by `next`.
private func gate(_ next: @escaping @Sendable (Seen, Int) -> Reply) -> @Sendable (Seen, Int) -> Reply {
    let used = Locked(Set<String>())
    return { seen, number in
        guard let input = seen.header("Signature-Input") else { return refusal("token-required") }
        return used.withLock { $0.insert(input).inserted } ? next(seen, number) : refusal("proof-used")
    }
}

@Suite struct WatchwordSessionTests {
    private let service = SmallService()
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
    }

    private func watchword(_ audiences: [String]) throws -> Watchword {
        let phone = PhoneDevice(AppAttestor(service: FakeAppAttest(), isExtension: false), keys: EnclaveKeys(), store: FailingStore())
        return try Watchword(
            // On a loaded machine ten seconds pass.
            .init(service: "https://attest.example", app: "clinic-ios", apis: audiences.map { .init(audience: $0) }, wait: 3600),
            ports: Ports(device: phone, store: FailingStore(), clock: SystemClock(), transport: service))
    }

    private func session(_ server: SocketServer) throws -> WatchwordSession {
        URLSession.watchword(try watchword([server.url]), audience: server.url)
    }

    private func request(_ server: SocketServer, _ path: String = "/x", _ method: String = "GET") throws -> URLRequest {
        var request = URLRequest(url: try #require(URL(string: server.url + path)))
        request.httpMethod = method
        return request
    }

    private func nonces(_ server: SocketServer) -> [String] {
        server.seen.compactMap { seen in
            seen.header("Signature-Input")?.components(separatedBy: "nonce=\"").last?.components(separatedBy: "\"").first
        }
    }

    private func isUnknown(_ error: (any Error)?) -> Bool {
        if case .outcomeUnknown = error as? WatchwordError { return true }
        return false
    }

    private func failure<Value>(_ action: () async throws -> Value) async -> (any Error)? {
        do {
            _ = try await action()
            return nil
        } catch {
            return error
        }
    }

    @Test func theMethodIsSentAsItIsProved() async throws {
        let server = try SocketServer(gate { _, _ in .text(200, "") })
        defer { server.close() }
        _ = try await session(server).upload(for: request(server, "/x", "patch"), from: Data("b".utf8))
        #expect(server.seen.map(\.method) == ["PATCH"])
    }

    @Test func aRequestCarriesTokenAndProof() async throws {
        let server = try SocketServer(gate { _, _ in .text(200, "hello") })
        defer { server.close() }
        var asked = try request(server, "/a%2Fb?c=d")
        asked.setValue("kept", forHTTPHeaderField: "X-App")
        let (data, response) = try await session(server).data(for: asked)
        #expect(data == Data("hello".utf8))
        #expect((response as? HTTPURLResponse)?.statusCode == 200)
        let seen = try #require(server.seen.first)
        #expect(seen.target == "/a%2Fb?c=d")
        #expect(seen.header("X-App") == "kept")
        #expect(seen.header("Watchword-Token")?.hasPrefix("e30.") == true)
        #expect(seen.header("Signature")?.hasPrefix("watchword=:") == true)
        #expect(seen.header("Content-Digest") == nil)
        #expect(server.seen.count == 1)
    }

    @Test func whatGoesElsewhereIsUntouched() async throws {
        let server = try SocketServer { _, _ in .text(200, "") }
        let api = try SocketServer { _, _ in .text(200, "") }
        defer {
            server.close()
            api.close()
        }
        var asked = try request(server, "/image", "POST")
        asked.httpBody = Data("body".utf8)
        asked.setValue("Bearer user", forHTTPHeaderField: "Authorization")
        _ = try await session(api).data(for: asked)
        let seen = try #require(server.seen.first)
        #expect(seen.header("Watchword-Token") == nil)
        #expect(seen.header("Signature") == nil)
        #expect(seen.header("Authorization") == "Bearer user")
        #expect(seen.body == Data("body".utf8))
        #expect(service.count("/v1/attestations") == 0)
    }

    @Test func bodiesAreSentWithTheirDigests() async throws {
        let server = try SocketServer(gate { _, _ in .text(200, "") })
        defer { server.close() }
        let session = try session(server)
        let body = Data((0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        let file = scratch.file("upload")
        try body.write(to: file)
        var stated = try request(server, "/x", "POST")
        stated.httpBody = body
        var streamed = try request(server, "/x", "POST")
        streamed.httpBodyStream = InputStream(data: body)
        _ = try await session.data(for: stated)
        _ = try await session.data(for: streamed)
        _ = try await session.upload(for: request(server, "/x", "PUT"), from: body)
        _ = try await session.upload(for: request(server, "/x", "PUT"), fromFile: file)
        let digest = "sha-256=:\(sha256(body).base64EncodedString()):"
        #expect(server.seen.count == 4)
        for seen in server.seen {
            #expect(seen.body == body)
            #expect(seen.header("Content-Digest") == digest)
            #expect(seen.header("Content-Length") == "200000")
        }
    }

    @Test func aStreamThatIsTooLongIsRefusedUnsent() async throws {
        let server = try SocketServer(gate { _, _ in .text(200, "") })
        defer { server.close() }
        let session = try session(server)
        var asked = try request(server, "/x", "POST")
        asked.httpBodyStream = InputStream(data: Data(count: Attempts.maxKeptBytes))
        _ = try await session.data(for: asked)
        asked.httpBodyStream = InputStream(data: Data(count: Attempts.maxKeptBytes + 1))
        guard case .lengthRequired = await failure({ try await session.data(for: asked) }) as? WatchwordError else {
            Issue.record("expected lengthRequired")
            return
        }
        #expect(server.seen.count == 1)
    }

    @Test func aMissingFileIsAnErrorAndNothingIsSent() async throws {
        let server = try SocketServer(gate { _, _ in .text(200, "") })
        defer { server.close() }
        let session = try session(server)
        let error = await failure { try await session.upload(for: try request(server, "/x", "PUT"), fromFile: scratch.file("none")) }
        #expect(error is CocoaError)
        #expect(server.seen.isEmpty)
    }

    @Test func aRefusedTokenIsRenewedOnce() async throws {
        let server = try SocketServer(gate { _, number in number == 1 ? refusal("token-refused") : .text(200, "ok") })
        defer { server.close() }
        let session = try session(server)
        let (data, _) = try await session.upload(for: request(server, "/x", "POST"), from: Data("b".utf8))
        #expect(data == Data("ok".utf8))
        #expect(server.seen.map(\.body) == [Data("b".utf8), Data("b".utf8)])
        #expect(server.seen[0].header("Watchword-Token") != server.seen[1].header("Watchword-Token"))
        #expect(Set(nonces(server)).count == 2)
        #expect(service.count("/v1/tokens") == 1)
    }

    @Test func aLostAnswerToAGetIsAskedForAnewWithAnotherProof() async throws {
        // The second request meets a connection that was dropped: URLSession may repeat it by itself, with the proof that was used.
        let server = try SocketServer(gate { _, number in number == 2 ? .drop : .text(200, "\(number)") })
        defer { server.close() }
        let session = try session(server)
        _ = try await session.data(for: request(server))
        let (_, response) = try await session.data(for: request(server))
        #expect((response as? HTTPURLResponse)?.statusCode == 200)
        #expect(Set(nonces(server)).count >= 3)
    }

    @Test func aLostAnswerToAPostIsNotAskedForAnew() async throws {
        let server = try SocketServer(gate { _, number in number == 2 ? .drop : .text(200, "") })
        defer { server.close() }
        let session = try session(server)
        _ = try await session.data(for: request(server))
        let posted = try request(server, "/pay", "POST")
        let error = await failure { try await session.upload(for: posted, from: Data("1".utf8)) }
        #expect(isUnknown(error), "\(String(describing: error))")
        // Whatever URLSession repeated had the proof that was used.
        #expect(Set(nonces(server)).count == 2)
    }

    @Test func aPostWithAnIdempotencyKeyIsSentAgain() async throws {
        let server = try SocketServer(gate { _, number in number == 1 ? .drop : .text(200, "done") })
        defer { server.close() }
        var posted = try request(server, "/pay", "POST")
        posted.setValue("k1", forHTTPHeaderField: "Idempotency-Key")
        let (data, _) = try await session(server).upload(for: posted, from: Data("1".utf8))
        #expect(data == Data("done".utf8))
        #expect(Set(nonces(server)).count == 2)
    }

    @Test func nobodyThereIsNoUnknownOutcome() async throws {
        let session = URLSession.watchword(try watchword(["http://127.0.0.1:1"]), audience: "http://127.0.0.1:1")
        var request = URLRequest(url: try #require(URL(string: "http://127.0.0.1:1/x")))
        request.httpMethod = "POST"
        let posted = request
        let error = await failure { try await session.upload(for: posted, from: Data("1".utf8)) }
        #expect(error is URLError, "\(String(describing: error))")
    }

    @Test func nobodyThereAfterAnAnswerIsAnUnknownOutcome() async throws {
        // The connection that was kept may have carried the request before it broke, and nobody counts here.
        let server = try SocketServer(gate { _, _ in .text(200, "") })
        let session = try session(server)
        _ = try await session.data(for: request(server))
        server.close()
        let posted = try request(server, "/pay", "POST")
        let error = await failure { try await session.upload(for: posted, from: Data("1".utf8)) }
        #expect(isUnknown(error), "\(String(describing: error))")
    }

    @Test func aRedirectToAnotherHostCarriesNothingOfOurs() async throws {
        let elsewhere = try SocketServer { _, _ in .text(200, "elsewhere") }
        let server = try SocketServer(gate { _, _ in .text(307, "", ["Location": elsewhere.url + "/y?z"]) })
        defer {
            server.close()
            elsewhere.close()
        }
        var asked = try request(server, "/x", "POST")
        asked.setValue("Bearer user", forHTTPHeaderField: "Authorization")
        asked.setValue("kept", forHTTPHeaderField: "X-App")
        let (data, response) = try await session(server).upload(for: asked, from: Data("body".utf8))
        #expect(data == Data("elsewhere".utf8))
        #expect(response.url?.absoluteString == elsewhere.url + "/y?z")
        let seen = try #require(elsewhere.seen.first)
        let carried = Set(seen.headers.map { $0.name.lowercased() })
        let ours = ["watchword-token", "signature", "signature-input", "content-digest", "dpop", "watchword-status", "authorization"]
        #expect(carried.isDisjoint(with: ours), "\(carried)")
        #expect(seen.method == "POST")
        #expect(seen.body == Data("body".utf8))
        #expect(seen.header("X-App") == "kept")
    }

    @Test func anotherHostGetsNoCredentialsOfTheConfiguration() async throws {
        let elsewhere = try SocketServer { _, _ in .text(200, "elsewhere") }
        let server = try SocketServer(gate { _, _ in .text(302, "", ["Location": elsewhere.url + "/y"]) })
        defer {
            server.close()
            elsewhere.close()
        }
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpAdditionalHeaders = ["Authorization": "Bearer user", "X-App": "kept", "X-Own": "configured"]
        let session = URLSession.watchword(try watchword([server.url]), audience: server.url, configuration: configuration)
        var asked = try request(server)
        asked.setValue("asked", forHTTPHeaderField: "X-Own")
        _ = try await session.data(for: asked)
        let (first, second) = (try #require(server.seen.first), try #require(elsewhere.seen.first))
        #expect(first.header("Authorization") == "Bearer user" && first.header("X-Own") == "asked")
        #expect(second.header("Authorization") == nil && second.header("X-App") == "kept")
        // The app's own is as it was.
        #expect(configuration.httpAdditionalHeaders?.count == 3)
    }

    @Test func aRedirectWithinTheAPIIsProvedAnew() async throws {
        let server = try SocketServer(gate { seen, _ in seen.target == "/x" ? .text(302, "", ["Location": "/y"]) : .text(200, "y") })
        defer { server.close() }
        let (data, _) = try await session(server).upload(for: request(server, "/x", "POST"), from: Data("b".utf8))
        #expect(data == Data("y".utf8))
        #expect(server.seen.map(\.method) == ["POST", "GET"])
        #expect(server.seen.map(\.target) == ["/x", "/y"])
        #expect(server.seen[1].header("Content-Digest") == nil)
        #expect(server.seen[1].body.isEmpty)
        #expect(Set(nonces(server)).count == 2)
    }

    @Test func redirectsHaveAnEnd() async throws {
        let server = try SocketServer(gate { _, _ in .text(302, "", ["Location": "/again"]) })
        defer { server.close() }
        let session = try session(server)
        let error = await failure { try await session.data(for: request(server)) }
        #expect((error as? URLError)?.code == .httpTooManyRedirects)
        #expect(server.seen.count == 21)
    }

    @Test func whatIsNoRefusalIsTheApps() async throws {
        let answers: [Reply] = [
            .text(200, "<html>Log in</html>", ["Content-Type": "text/html"]), .text(401, "wrong password"),
            .answer(401, ["Content-Type": "text/html"], Data(count: 70_000)), .answer(200, [:], Data(count: 3_000_000)), .text(304, ""),
            .answer(
                200, ["Content-Encoding": "gzip"], try #require(Data(base64Encoded: "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="))),
        ]
        let server = try SocketServer(gate { _, number in answers[number - 1] })
        defer { server.close() }
        let session = try session(server)
        var got: [(Int, Int)] = []
        for _ in answers {
            let (data, response) = try await session.data(for: request(server))
            got.append(((response as? HTTPURLResponse)?.statusCode ?? 0, data.count))
        }
        #expect(got.map(\.0) == [200, 401, 401, 200, 304, 200])
        #expect(got.map(\.1) == [19, 14, 70_000, 3_000_000, 0, 5])
    }

    @Test func aDownloadIsAFileOfTheApps() async throws {
        let content = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
        let server = try SocketServer(gate { _, number in number == 1 ? refusal("token-refused") : .answer(200, [:], content) })
        defer { server.close() }
        let (file, response) = try await session(server).download(for: request(server))
        defer { try? FileManager.default.removeItem(at: file) }
        #expect(try Data(contentsOf: file) == content)
        #expect((response as? HTTPURLResponse)?.statusCode == 200)
        #expect(Set(nonces(server)).count == 2)
    }

    @Test func aCancelledTaskEndsItsRequest() async throws {
        let server = try SocketServer(gate { _, _ in .stall })
        defer { server.close() }
        let session = try session(server)
        let posted = try request(server, "/pay", "POST")
        let task = Task { try await session.upload(for: posted, from: Data("1".utf8)) }
        while server.seen.isEmpty { try await Task.sleep(nanoseconds: 1_000_000) }
        task.cancel()
        let error = await failure { try await task.value }
        #expect((error as? URLError)?.code == .cancelled || error is CancellationError, "\(String(describing: error))")
        #expect(server.seen.count == 1)
    }

    @Test func whatCannotBeRightIsSaidAtEachCall() async throws {
        let server = try SocketServer { _, _ in .text(200, "") }
        defer { server.close() }
        let watchword = try watchword([server.url])
        let asked = try request(server)
        for session in [
            URLSession.watchword(watchword, audience: "https://other.example"),
            WatchwordSession(watchword, audience: server.url, isBackground: true, .default),
        ] {
            let errors = [
                await failure { try await session.data(for: asked) }, await failure { try await session.download(for: asked) },
                await failure { try await session.upload(for: asked, from: Data()) },
            ]
            for error in errors { #expect(error is ConfigurationError) }
        }
        #expect(server.seen.isEmpty)
    }
}

@Suite struct HopTests {
    private func redirected(
        _ status: Int, _ method: String, from: String = "https://a.example/x", to: String? = "/y", _ headers: [String: String] = [:]
    ) throws -> Hop? {
        let url = try #require(URL(string: from))
        var request = URLRequest(url: url)
        request.httpMethod = method
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let fields = to.map { ["Location": $0] } ?? [:]
        let response = try #require(HTTPURLResponse(url: url, statusCode: status, httpVersion: nil, headerFields: fields))
        return Hop(request: request, upload: .data(Data("b".utf8))).redirected(by: response)
    }

    private func hasBody(_ hop: Hop?) -> Bool {
        if case .data = hop?.upload { return true }
        return false
    }

    @Test func methodsChangeAsByTheStandard() throws {
        let table: [(Int, String, String, Bool)] = [
            (301, "POST", "GET", false), (302, "POST", "GET", false), (303, "POST", "GET", false), (303, "PUT", "GET", false),
            (303, "HEAD", "HEAD", true), (301, "PUT", "PUT", true), (302, "DELETE", "DELETE", true), (307, "POST", "POST", true),
            (308, "POST", "POST", true), (307, "GET", "GET", true),
        ]
        for (status, method, expected, keeps) in table {
            let hop = try redirected(status, method)
            #expect(hop?.request.httpMethod == expected, "\(status) \(method)")
            #expect(hasBody(hop) == keeps, "\(status) \(method)")
            #expect(hop?.request.url?.absoluteString == "https://a.example/y")
        }
    }

    @Test func onlyRedirectsAreFollowed() throws {
        for status in [200, 300, 304, 305, 306, 309, 400] { #expect(try redirected(status, "GET") == nil, "\(status)") }
        #expect(try redirected(302, "GET", to: nil) == nil)
        #expect(try redirected(302, "GET", to: "ftp://a.example/y") == nil)
        #expect(try redirected(302, "GET", to: "http://a.example/y") == nil)
        #expect(try redirected(302, "GET", from: "http://a.example/", to: "https://a.example/y") != nil)
    }

    @Test func anotherOriginGetsNoCredentials() throws {
        let secret = ["Authorization": "a", "Cookie": "b", "Proxy-Authorization": "c", "X-App": "d"]
        for target in ["https://b.example/", "https://a.example:444/", "//b.example/"] {
            let fields = try redirected(302, "GET", to: target, secret)?.request.allHTTPHeaderFields
            #expect(fields == ["X-App": "d"], "\(target)")
        }
        let same = try redirected(302, "GET", to: "https://A.example:443/", secret)?.request.allHTTPHeaderFields
        #expect(same == secret)
    }

    @Test func aStreamThatWasReadIsNotSentASecondTime() throws {
        let url = try #require(URL(string: "https://a.example/x"))
        var request = URLRequest(url: url)
        request.httpMethod = "POST"
        request.httpBodyStream = InputStream(data: Data("b".utf8))
        for (status, isFollowed) in [(303, true), (307, false), (308, false)] {
            let response = try #require(
                HTTPURLResponse(url: url, statusCode: status, httpVersion: nil, headerFields: ["Location": "/y"]))
            let hop = Hop(request: request, upload: .none).redirected(by: response)
            #expect((hop != nil) == isFollowed, "\(status)")
            #expect(hop?.request.httpBodyStream == nil)
        }
    }

    @Test func aGetHasNoHeadersOfABody() throws {
        let fields = ["Content-Type": "a", "Content-Length": "1", "Content-Digest": "b", "X-App": "d"]
        #expect(try redirected(303, "POST", fields)?.request.allHTTPHeaderFields == ["X-App": "d"])
        #expect(try redirected(307, "POST", fields)?.request.allHTTPHeaderFields == fields)
    }
}

extension HopTests {
    private func redirected(_ status: Int, _ method: String, _ headers: [String: String]) throws -> Hop? {
        try redirected(status, method, from: "https://a.example/x", to: "/y", headers)
    }
}

@Suite struct PrefixedBytesTests {
    private func bytes(_ count: UInt8) -> AsyncStream<UInt8> {
        AsyncStream { continuation in
            for byte in 0..<count { continuation.yield(byte) }
            continuation.finish()
        }
    }

    private func all(_ bytes: PrefixedBytes<AsyncStream<UInt8>>) async throws -> [UInt8] {
        var read: [UInt8] = []
        for try await byte in bytes { read.append(byte) }
        return read
    }

    @Test func nothingIsLost() async throws {
        for count in [0, 1, 9, 10, 11, 200] {
            let read = try await PrefixedBytes(bytes(10)).read(count)
            #expect(read.prefix.count == min(count, 10))
            #expect(try await all(read) == Array(0..<10))
        }
        #expect(try await all(PrefixedBytes(bytes(10))) == Array(0..<10))
    }
}
