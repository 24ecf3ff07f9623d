import Foundation
import Testing

@testable import WatchwordKit

/// No description, dump or mirror shows a token, a key or a secret: crash reporters and loggers of apps print what they get.
@Suite struct RedactionTests {
    private static let token = "e30.tokentokentoken.sig"
    private static let key = Data((0..<32).map { UInt8($0 + 150) })

    /// Returns what all of Swift's ways to print something show of it.
    private static func shown(_ value: Any) -> String {
        var text = ""
        dump(value, to: &text)
        text += "\(value) \(String(describing: value)) \(String(reflecting: value))\n"
        walk(value, depth: 0, &text)
        return text
    }

    private static func walk(_ value: Any, depth: Int, _ text: inout String) {
        if let data = value as? Data { text += data.base64EncodedString() + data.base64URL() + "\n" }
        if let bytes = value as? [UInt8] { text += Data(bytes).base64URL() + "\n" }
        if let string = value as? String { text += string + "\n" }
        guard depth < 12 else { return }
        var mirror: Mirror? = Mirror(reflecting: value)
        while let next = mirror {
            for child in next.children { walk(child.value, depth: depth + 1, &text) }
            mirror = next.superclassMirror
        }
    }

    private static func expectNothing(of value: Any, _ needles: [String] = needles, sourceLocation: SourceLocation = #_sourceLocation) {
        let text = shown(value)
        for needle in needles { #expect(!text.contains(needle), "\(type(of: value))", sourceLocation: sourceLocation) }
    }

    private static let needles = [
        "tokentokentoken", key.base64URL(), key.base64EncodedString(), key.map { String(format: "%02x", $0) }.joined(),
        key.map { "- \($0)" }.joined(separator: "\n"), "150, 151, 152", "hush",
    ]

    /// What can't be found here can't be found anywhere.
    @Test func theSearchFinds() {
        struct Careless {
            let token: String
            let key: Data
        }
        let text = Self.shown(Careless(token: Self.token, key: Self.key))
        #expect(text.contains("tokentokentoken") && text.contains(Self.key.base64URL()))
    }

    @Test func typesOfTheCore() {
        let held = HeldToken(token: Self.token, expiresAt: 1, renewAt: 1, sessionKey: Self.key, own: OwnToken.read(Self.token))
        let session = Session(
            instance: "i", level: "l", tokens: ["a": held], bound: nil, bootID: "b", asksDevice: false,
            next: NextChallenge(challenge: "tokentokentoken", expiresAt: 1))
        let secret = Secret(Data("hush".utf8))
        let values: [Any] = [
            held, session, Remembered(session: session), secret, Delivery(value: secret, expiresAt: 1, refetchAt: 1),
            Answer(status: 200, headers: ["x": Self.token], body: Data(Self.token.utf8) + Self.key),
            Evidence(format: "test-instance", members: ["code": Self.token]), Locked(held), Locked<Session?>(session), ["a": held],
            [secret],
        ]
        for value in values { Self.expectNothing(of: value) }
    }

    @Test func aClientThatHoldsAllOfIt() async throws {
        let world = try await World(.firstSecret)
        try await world.travel(world.app)
        let watchword = world.app.watchword
        let held = try #require(watchword.heldToken(SimulatedService.audience))
        let key = try #require(held.sessionKey)
        let needles = [held.token, String(held.token.suffix(40)), key.base64URL(), key.base64EncodedString(), "hush"]
        Self.expectNothing(of: watchword, needles)
        #expect("\(watchword)" == "Watchword(app=clinic, enrolled)")
        let request = AppRequest(method: "GET", url: "https://api.example/x")
        let attempts = try #require(try await watchword.attempts(request))
        try await attempts.prepare()
        let headers = try await attempts.sign(WireRequest(method: "GET", url: "https://api.example/x"))
        let values: [Any] = [attempts, headers]
        for value in values { Self.expectNothing(of: value, needles) }
        // Its parts, one by one, as a debugger's or a logger's reflection meets them.
        let memory = Memory(store: world.store, clock: world.clock)
        #expect(memory.valid(SimulatedService.audience)?.held.token == held.token)
        let secrets = Secrets(world.clock) { _, _ in Delivery(value: Secret(Data("hush".utf8)), expiresAt: 1e9, refetchAt: 1e9) }
        try await secrets.refresh("push")
        let parts: [Any] = [memory, secrets, Work(early: { await $0() })]
        for part in parts { Self.expectNothing(of: part, needles) }
    }

    @Test func errors() {
        let refused = WatchwordError.Refused(type: "evidence-refused", status: 403, title: "No", ref: "r-1", signed: "x.y.z")
        #expect("\(WatchwordError.refused(refused))" == "evidence-refused: the service refused: 403 evidence-refused: No; ref r-1")
        let error: any Error = WatchwordError.unreadable("HTTP 200 that isn't JSON")
        #expect(error.localizedDescription == "the answer isn't the service's: HTTP 200 that isn't JSON")
        #expect("\(DeviceError(.locked, "no"))" == "locked: no")
        #expect(DeviceError(.transient, "", retryAfter: .nan).retryAfter == nil)
        #expect(DeviceError(.transient, "", retryAfter: -1).retryAfter == nil)
        #expect(DeviceError(.transient, "", retryAfter: .infinity).retryAfter == nil)
        #expect(DeviceError(.transient, "", retryAfter: 2).retryAfter == 2)
    }
}
