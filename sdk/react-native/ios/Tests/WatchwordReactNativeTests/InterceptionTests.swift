import Foundation
import Testing
import WatchwordKit

@testable import WatchwordReactNative

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Returns what a call throws.
func thrown(_ call: () async throws -> Void) async -> (any Error)? {
    do {
        try await call()
        return nil
    } catch {
        return error
    }
}

/// What listeners of `onError` heard.
final class Heard: @unchecked Sendable {  // `lock` guards `failures`.
    private let lock = NSLock()
    private var failures: [Failure] = []

    func add(_ failure: Failure) {
        lock.lock()
        defer { lock.unlock() }
        failures.append(failure)
    }

    var codes: [String] { all.map(\.code) }

    var all: [Failure] {
        lock.lock()
        defer { lock.unlock() }
        return failures
    }
}

/// Requests of an app through a session as React Native makes it, over a wire that breaks. One at a time: the instance is the process's.
@Suite(.serialized) final class InterceptionTests {
    private let service = SmallService()
    private let heard = Heard()
    private let listener: UUID
    private let session: URLSession

    init() {
        listener = Bridge.shared.listen { [heard] in heard.add($0) }
        let configuration = URLSessionConfiguration.default
        Bridge.intercept(configuration)
        session = URLSession(configuration: configuration)
    }

    deinit {
        Bridge.shared.forget(listener)
        Bridge.shared.use(nil)
        // Not cancelled: Foundation on Linux may then end a task twice that is just ending.
        session.finishTasksAndInvalidate()
    }

    private func gate(_ then: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reply = { _ in .text("done") }) throws
        -> LoopbackServer
    {
        let service = service
        return try LoopbackServer { request in service.refusal(request).map(LoopbackServer.Reply.problem) ?? then(request) }
    }

    private func use(_ api: LoopbackServer) throws {
        Bridge.shared.use(try service.watchword([.init(audience: "api", origins: [api.url], proofs: Proofs(otherwise: .device))]))
    }

    private func request(_ url: String, _ method: String = "GET", stream: Data? = nil, body: Data? = nil) throws -> URLRequest {
        var request = URLRequest(url: try #require(URL(string: url)))
        request.httpMethod = method
        request.httpBody = body
        if let stream { request.httpBodyStream = InputStream(data: stream) }
        return request
    }

    private func send(_ request: URLRequest) async throws -> (status: Int, text: String) {
        let (data, response) = try await session.data(for: request)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    private func bytes(_ count: Int) -> Data { Data((0..<count).map { UInt8($0 % 251) }) }

    private var leftFiles: [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: FileManager.default.temporaryDirectory.path)
        return (names ?? []).filter { $0.hasPrefix("watchword-body-") }
    }

    @Test func aSessionMadeBeforeAnythingWasConfiguredCarriesProofsFromThenOn() async throws {
        let api = try gate()
        #expect(try await send(request(api.url + "/patients?a=1")).status == 401)
        #expect(api.requests.last?.ours == [])
        try use(api)
        #expect(try await send(request(api.url + "/patients?a=1")) == (200, "done"))
        #expect(api.requests.count == 2)
        let other = try LoopbackServer { _ in .text("other") }
        #expect(try await send(request(other.url)).text == "other")
        #expect(other.requests.last?.ours == [])
        #expect(heard.codes == [])
    }

    @Test func bodiesInMemoryAndStreamsArriveWholeAndProved() async throws {
        let api = try gate()
        try use(api)
        for size in [0, 5, Attempts.maxKeptBytes, Attempts.maxKeptBytes + 1, 3_000_000] {
            let bytes = bytes(size)
            #expect(try await send(request(api.url, "POST", stream: bytes)).status == 200, "\(size) bytes of a stream")
            #expect(api.requests.last?.body == bytes, "\(size) bytes of a stream")
            #expect(try await send(request(api.url, "PUT", body: bytes)).status == 200, "\(size) bytes")
            #expect(api.requests.last?.body == bytes, "\(size) bytes")
        }
        #expect(leftFiles == [])
    }

    @Test func aStreamIsSentOnceMoreWhereItsTokenWasRefused() async throws {
        let api = try gate()
        try use(api)
        _ = try await send(request(api.url))
        service.revoke()
        #expect(try await send(request(api.url, "POST", stream: Data("body".utf8))).status == 200)
        #expect(api.requests.suffix(2).map { String(decoding: $0.body, as: UTF8.self) } == ["body", "body"])
    }

    @Test func aStreamThatBreaksIsNeverSent() async throws {
        let api = try gate()
        try use(api)
        var broken = try request(api.url, "POST")
        broken.httpBodyStream = InputStream(fileAtPath: "/nonexistent/watchword")
        await #expect(throws: (any Error).self) { _ = try await self.session.data(for: broken) }
        #expect(heard.codes == ["body-unreadable"])
        #expect(api.requests.isEmpty)
    }

    @Test func aLostAnswerOfAPostIsNotRepeatedAndJavaScriptHearsIt() async throws {
        let api = try gate { _ in .drop }
        try use(api)
        let pay = try request(api.url + "/pay?card=42", "POST", body: Data("42".utf8))
        let error = await thrown { _ = try await self.session.data(for: pay) }
        #expect(api.requests.count == 1)
        let failure = try #require(heard.all.first)
        #expect(heard.codes == ["outcome-unknown"])
        #expect(failure.details == ["method": .text("POST"), "origin": .text(api.url)])
        let token = try #require(api.requests.first?.headers["watchword-token"])
        let told = "\(failure.event) \(error.map { "\($0)" } ?? "")"
        #expect(!told.contains(token) && !told.contains("card"))
    }

    @Test func aLostAnswerOfAGetIsRepeatedWithAnotherProof() async throws {
        let drops = Heard()
        let api = try gate { _ in
            drops.add(.notConfigured)
            return drops.all.count == 1 ? .drop : .text("done")
        }
        try use(api)
        #expect(try await send(request(api.url)) == (200, "done"))
        #expect(Set(api.requests.map { $0.headers["signature"] }).count == 2)
    }

    @Test func withoutNetworkJavaScriptHearsWhy() async throws {
        let api = try gate()
        Bridge.shared.use(
            try Watchword(
                .init(service: "https://attest.example", app: "clinic", apis: [.init(audience: "api", origins: [api.url])], wait: 0.2),
                ports: Ports(device: service, store: service, clock: service, transport: service)))
        service.isDown = true
        let get = try request(api.url)
        await #expect(throws: (any Error).self) { _ = try await self.session.data(for: get) }
        #expect(heard.codes == ["service-unavailable"])
        #expect(api.requests.isEmpty)
    }

    @Test func aRedirectToAnotherOriginCarriesNothing() async throws {
        let other = try LoopbackServer { _ in .text("other") }
        let (url, api) = (
            other.url,
            try gate {
                $0.target == "/here" ? .text("here") : nil
            } away: {
                other.url
            }
        )
        try use(api)
        #expect(try await send(request(api.url + "/away", body: nil)).text == "other")
        #expect(other.requests.map(\.ours) == [[]])
        #expect(try await send(request(api.url + "/back")).text == "here")
        #expect(url == other.url)
    }

    private func gate(
        _ then: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reply?, away: @escaping @Sendable () -> String
    ) throws -> LoopbackServer {
        try gate { request in
            then(request) ?? .init(status: 302, headers: ["Location": request.target == "/back" ? "/here" : away() + "/there"])
        }
    }

    @Test func aCancelledRequestEndsAndTellsNobody() async throws {
        let (arrived, isOver) = (AsyncStream<Void>.makeStream(), DispatchSemaphore(value: 0))
        let slow = try gate { _ in
            arrived.continuation.yield()
            isOver.wait()
            return .drop
        }
        try use(slow)
        let (pay, session) = (try request(slow.url, "POST", body: Data("42".utf8)), session)
        let task = Task { _ = try await session.data(for: pay) }
        for await _ in arrived.stream { break }
        task.cancel()
        #expect(await thrown { try await task.value } != nil)
        isOver.signal()
        let after = try gate()
        #expect(try await send(request(after.url)).status == 401)
        #expect(slow.requests.count == 1)
        #expect(heard.codes == [])
    }
}

@Suite(.serialized) struct ConfigurationTests {
    private func said(_ more: [String: Any] = [:]) -> [String: Any] {
        let api: [String: Any] = [
            "audience": "https://api.example", "origins": ["https://api.example", "https://other.example"], "device": ["/login"],
            "session": [String](), "bearer": ["/free"], "otherwise": "session", "dpop": true, "sendUnproved": true,
        ]
        let all: [String: Any] = ["service": "https://attest.example", "app": "clinic", "apis": [api], "waitSeconds": 2.5]
        return all.merging(more) { $1 }
    }

    @Test func whatJavaScriptSaysBecomesTheConfiguration() throws {
        let bridge = Bridge()
        #expect(bridge.configure(said(["issuer": "https://issuer.example"])) == "")
        let held = try #require(bridge.current)
        let configuration = held.watchword.configuration
        #expect(configuration.service == "https://attest.example" && configuration.app == "clinic")
        #expect(configuration.issuer == "https://issuer.example" && configuration.wait == 2.5)
        let api = try #require(configuration.apis.first)
        #expect(api.dpop && api.sendUnproved)
        for (url, isOurs) in [("https://other.example/x", true), ("https://third.example/", false), ("ws://other.example/", false)] {
            #expect(held.carries(try #require(URL(string: url))) == isOurs, "\(url)")
        }
    }

    /// As on Android, where each connection of the client to a pinned host is checked.
    @Test func pinnedHostsAreCarriedToo() throws {
        let file = URL(fileURLWithPath: #filePath).pathComponents.dropLast(6).joined(separator: "/").dropFirst()
        let vectors = try Data(contentsOf: URL(fileURLWithPath: "\(file)/docs/protocol-vectors.json"))
        let pins = (try JSONSerialization.jsonObject(with: vectors) as? [String: Any])?["pins"] as? [String: Any]
        let builtin = try #require((pins?["documents"] as? [String: String])?["builtin-set-5"])
        let (bridge, phone) = (Bridge(), SmallService(at: 1_795_521_600))
        bridge.use(
            try Watchword(
                .init(
                    service: "https://attest.example", app: "clinic-android", apis: [.init(audience: "https://api.example")],
                    pins: Data(builtin.utf8)),
                ports: Ports(
                    device: phone, store: phone, clock: phone, transport: phone, pins: PinPorts(store: nil, transport: phone))))
        let held = try #require(bridge.current)
        for (url, isCarried) in [
            ("https://api.clinic.example/x", true), ("http://api.clinic.example/", true), ("wss://api.clinic.example/", false),
            ("https://third.example/", false),
        ] {
            #expect(held.carries(try #require(URL(string: url))) == isCarried, "\(url)")
        }
    }

    @Test func aReloadFindsTheInstanceThatIsThere() throws {
        let bridge = Bridge()
        #expect(bridge.configure(said()) == "")
        let first = try #require(bridge.current?.watchword)
        #expect(bridge.configure(said()) == "")
        #expect(bridge.configure(said(["app": "other"])).contains("another configuration"))
        #expect(bridge.current?.watchword === first)
    }

    @Test func whatCantBeRightIsSaidAndChangesNothing() {
        let wrong: [[String: Any]] = [
            ["service": "http://attest.example"], ["apis": [Any]()], ["waitSeconds": 0.0], ["pins": "{}"], ["app": 7], ["apis": [7]],
        ]
        let bridge = Bridge()
        for each in wrong {
            #expect(bridge.configure(said(each)) != "", "\(each)")
            #expect(bridge.current == nil, "\(each)")
        }
        #expect(bridge.configure(said()) == "")
    }

    @Test func beforeConfigureEverythingSaysSo() async {
        let bridge = Bridge()
        #expect(!bridge.bind("Bearer x"))
        #expect(bridge.status["isConfigured"] as? Bool == false)
        for call in [bridge.ready, bridge.enrol, { _ = try await bridge.secret("push") }] {
            #expect((await thrown(call) as? Failure)?.code == "configuration")
        }
    }

    @Test func readyEnrolAndStatusSettle() async throws {
        let (bridge, service) = (Bridge(), SmallService())
        bridge.use(try service.watchword([.init(audience: "api", origins: ["https://api.example"])]))
        #expect(bridge.status["level"] == nil)
        try await bridge.ready()
        #expect(bridge.status["level"] as? String == "hardware")
        try await bridge.enrol()
        #expect(bridge.bind("Bearer x") && bridge.bind(nil))
        let mistake = await thrown { _ = try await bridge.secret("No Name") }
        #expect(mistake.flatMap(Failure.of)?.code == "configuration")
    }
}
