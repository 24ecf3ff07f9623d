import CryptoKit
import Foundation
import Testing

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// One instance among many callers, and stores that can't be read yet.
@Suite struct InstanceTests {
    /// An actor lets others in at every `await`; the service and the device are asked by one at a time all the same.
    @Test func allWorkWaitsForItsTurn() async throws {
        let world = try await World(.firstSecret)
        let watchword = world.app.watchword
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<30 {
                group.addTask {
                    switch index % 5 {
                    case 0: try await watchword.enrol()
                    case 1: _ = try await watchword.secret("push")
                    case 2: _ = try await watchword.secret("other")
                    case 3: try await watchword.renew()
                    default: _ = try await watchword.token(for: SimulatedService.audience)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(world.app.steps.meetings == 0)
        #expect(world.service.seen.offences == [] && world.service.seen.repeated == [])
        #expect(world.service.seen.deliveries == 2)
        try await world.check(world.app)
    }

    /// A phone that was started and not unlocked yet: what is stored can't be read, and nothing may take its place.
    private final class LockedStore: Store {
        let document = MemoryStore()
        let isLocked = Locked(true)

        func read() throws -> Data? {
            if isLocked.withLock({ $0 }) { throw DeviceError(.locked, "nobody unlocked it") }
            return document.read()
        }
        func write(_ data: Data) { document.write(data) }
        func clear() { document.clear() }
    }

    /// A phone whose vendor is too busy for a while to vouch for its keys.
    private struct BusyPhone: Device {
        let phone: SimulatedPhone
        let isBusy = Locked(true)

        var canOpen: Bool { phone.canOpen }
        func proofKey() async throws -> PublicKeyJWK? { try await phone.proofKey() }
        func sealKey() async throws -> PublicKeyJWK { try await phone.sealKey() }
        func createKeys() async throws { try await phone.createKeys() }
        func attest(binding: Data) async throws -> Evidence {
            if isBusy.withLock({ $0 }) { throw DeviceError(.transient, "busy") }
            return try await phone.attest(binding: binding)
        }
        func renew(statement: Data) async throws -> Evidence { try await phone.renew(statement: statement) }
        func sign(_ message: Data) async throws -> Data { try await phone.sign(message) }
        func openSealed(info: Data, sealed: Data) async throws -> Data { try await phone.openSealed(info: info, sealed: sealed) }
    }

    private func watchword(
        _ world: World, _ store: any Store, _ device: (any Device)? = nil, hearPins: @escaping @Sendable (Int64) -> Void = { _ in }
    ) throws -> Watchword {
        let ports = Ports(
            device: device ?? world.phone, store: store, clock: world.clock, transport: Direct(service: world.service), sleep: { _ in },
            jitter: { 0.5 }, hearPins: hearPins)
        let apis = [Watchword.API(audience: SimulatedService.audience)]
        return try Watchword(.init(service: "https://attest.example", app: "clinic", apis: apis, wait: 600), ports: ports)
    }

    private struct Direct: Transport {
        let service: SimulatedService
        func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
            try service.answer(url, body)
        }
        func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer { throw URLError(.badURL) }
    }

    /// App Attest asks for the same key again: each that is made in vain harms the device's standing.
    @Test func keysThatABusyVendorDidNotVouchForYetOutliveTheProcess() async throws {
        let world = try await World(.enrolment)
        let (store, phone) = (MemoryStore(), BusyPhone(phone: world.phone))
        for _ in 0..<2 {
            let watchword = try watchword(world, store, phone)
            await #expect(throws: WatchwordError.self) { try await watchword.token(for: SimulatedService.audience) }
        }
        #expect(world.phone.sealKeys.count == 1)
        phone.isBusy.withLock { $0 = false }
        let later = try watchword(world, store, phone)
        #expect(world.service.isAlive(try await later.token(for: SimulatedService.audience)))
        #expect(world.phone.sealKeys.count == 1)
        // Now they are used, and good for no other enrolment, whoever asks for it.
        try await watchword(world, store, phone).enrol()
        #expect(world.phone.sealKeys.count == 2)
    }

    @Test func nothingIsAskedWhileTheStoreIsLocked() async throws {
        let world = try await World(.secret)
        let store = LockedStore()
        store.write(try #require(world.store.read()))
        let watchword = try watchword(world, store)
        let before = world.service.seen
        for _ in 0..<2 {
            await #expect(throws: WatchwordError.self) { try await watchword.token(for: SimulatedService.audience) }
            await #expect(throws: WatchwordError.self) { try await watchword.enrol() }
            await #expect(throws: WatchwordError.self) { _ = try await watchword.secret("push") }
            await #expect(throws: WatchwordError.self) { try await watchword.ready() }
        }
        #expect(world.service.seen.made == before.made && watchword.level == nil)
        store.isLocked.withLock { $0 = false }
        #expect(world.service.isAlive(try await watchword.token(for: SimulatedService.audience)))
        #expect(world.service.seen.made == before.made && watchword.level == "hardware")
    }

    @Test func aStoreThatIsBrokenCostsAnEnrolmentAndNoMore() async throws {
        struct Broken: Store {
            func read() throws -> Data? { throw URLError(.unknown) }
            func write(_ data: Data) throws { throw URLError(.unknown) }
            func clear() throws { throw URLError(.unknown) }
        }
        let world = try await World(.enrolment)
        let watchword = try watchword(world, Broken())
        #expect(world.service.isAlive(try await watchword.token(for: SimulatedService.audience)))
        world.clock.advance(SimulatedService.life)
        #expect(world.service.isAlive(try await watchword.token(for: SimulatedService.audience)))
        #expect(world.service.seen.enrolments == 1 && world.service.seen.renewals == 1)
    }

    @Test func whatIsAskedForWrongly() async throws {
        let world = try await World(.secret)
        let watchword = world.app.watchword
        for name in ["", "A", "a_b", "ä", "push ", "\u{212A}", String(repeating: "a", count: 65)] {
            await #expect(throws: ConfigurationError.self) { _ = try await watchword.secret(name) }
        }
        await #expect(throws: ConfigurationError.self) { _ = try await watchword.token(for: "https://other.example") }
        #expect(try await watchword.secret(String(repeating: "a", count: 40)).text() == "hush")
        #expect(watchword.nonce().utf8.count == 22 && watchword.nonce() != watchword.nonce())
    }

    @Test func whichRequestsAreCovered() async throws {
        let watchword = try await World(.enrolment).app.watchword
        for (text, isCovered) in [
            ("https://api.example/x?y", true), ("https://API.example:443/", true), ("http://api.example/", false),
            ("https://api.example:444/", false), ("https://other.example/", false), ("https://api.example.other.example/", false),
            ("file:///x", false),
        ] {
            #expect(watchword.covers(try #require(URL(string: text))) == isCovered, "\(text)")
        }
    }

    /// Who waited for the turn of another's enrolment needs none any more.
    @Test func whatAnotherBroughtIsEnough() async throws {
        let world = try await World(.enrolment)
        let watchword = world.app.watchword
        let hold = Hold()
        world.app.steps.plan(at: 1) { await hold.pass() }
        let enrolment = Task { try await watchword.enrol() }
        await hold.arrival()
        let callers = (0..<10).map { _ in Task { try await world.app.token() } }
        for _ in 0..<1_000 { await Task.yield() }
        await hold.open()
        try await enrolment.value
        for caller in callers { #expect(world.service.isAlive(try await caller.value)) }
        #expect(world.service.seen.enrolments == 1 && world.service.seen.renewals == 0)
    }

    /// A final refusal holds the app back; enrol() asks at once, and what becomes of it is what counts from then on.
    @Test func anEnrolmentEndsWhatHeldBack() async throws {
        let world = try await World(.enrolment)
        let refusal: JSONObject = ["type": "urn:watchword:problem:evidence-refused", "title": "No"]
        let no = Answer(status: 403, headers: ["content-type": "application/problem+json"], body: refusal.written())
        world.service.next = [no]
        for _ in 0..<2 { await #expect(throws: WatchwordError.self) { _ = try await world.app.token() } }
        #expect(world.service.next.isEmpty && world.service.seen.made == 0)
        // Something else answers: nothing is concluded, and nothing of the refusal is left.
        world.service.next = [Answer(status: 200, headers: ["content-type": "text/html"], body: Data("<html>".utf8))]
        await #expect(throws: WatchwordError.self) { try await world.app.watchword.enrol() }
        #expect(world.service.isAlive(try await world.app.token()))
        #expect(world.service.seen.enrolments == 1)
    }

    /// A token becomes a header's value.
    @Test func aTokenWithAnythingElseInItIsNotTaken() async throws {
        for token in ["a b", "a\r\nX-Admin: 1", "\u{e9}", "\u{7f}", "a\0"] {
            let world = try await World(.enrolment)
            let challenge: JSONObject = ["challenge": "c", "protocol": "1.1"]
            let each: JSONObject = ["aud": .text(SimulatedService.audience), "token": .text(token), "expires_in": 300]
            let session: JSONObject = ["instance": "i", "level": "hardware", "tokens": .list([.object(each)])]
            world.service.next = [challenge, session].map {
                Answer(status: 200, headers: ["content-type": "application/json"], body: $0.written())
            }
            do {
                _ = try await world.app.token()
                Issue.record("a token was taken")
            } catch WatchwordError.offline(let error) {
                #expect(error.code == "unreadable-answer")
            }
        }
    }

    /// The version of pins beside tokens only says when to look: one that is none is passed over, and the tokens count.
    @Test(
        arguments: [
            (1, true), (9_007_199_254_740_991, true), (0, false), (-1, false), (9_007_199_254_740_992, false),
            (.integer(.max), false), (.number(1.5), false), ("1", false), (.null, false),
        ] as [(JSON, Bool)])
    func whichVersionsOfPinsAreHeard(version: JSON, isHeard: Bool) async throws {
        let world = try await World(.enrolment)
        let heard = Locked<[Int64]>([])
        let watchword = try watchword(world, world.store) { version in heard.withLock { $0.append(version) } }
        let challenge: JSONObject = ["challenge": "c", "protocol": "1.1"]
        let each: JSONObject = ["aud": .text(SimulatedService.audience), "token": "t", "expires_in": 300]
        let session: JSONObject = ["instance": "i", "level": "hardware", "tokens": .list([.object(each)]), "pins": version]
        world.service.next = [challenge, session].map {
            Answer(status: 200, headers: ["content-type": "application/json"], body: $0.written())
        }
        #expect(try await watchword.token(for: SimulatedService.audience) == "t")
        #expect(heard.withLock { $0 }.map(JSON.integer) == (isHeard ? [version] : []))
    }

    /// Only 1.1 and later versions of 1 are spoken.
    @Test func versionsOfTheProtocol() async throws {
        for (version, speaks) in [
            ("1.1", true), ("1.9999", true), ("1.0", false), ("1.01", false), ("1.", false), ("2.1", false), ("1.1a", false),
        ] {
            let world = try await World(.enrolment)
            let challenge: JSONObject = ["challenge": "c", "protocol": .text(version)]
            let answer = Answer(status: 200, headers: ["content-type": "application/json"], body: challenge.written())
            world.service.next = [answer, Answer(status: 200, headers: ["content-type": "text/html"], body: Data())]
            await #expect(throws: WatchwordError.self) { _ = try await world.app.token() }
            #expect(world.app.watchword.reading().speaks == speaks, "\(version)")
        }
    }

    /// A key that is gone takes its own instance with it, and none that came after.
    @Test func aLostKeyOfBeforeCostsNothing() async throws {
        let world = try await World(.secret)
        let old = try await world.app.token()
        try await world.app.watchword.renew()
        world.clock.advance(SimulatedService.life)
        _ = try await world.app.watchword.replaceToken(SimulatedService.audience, refused: old, isLost: true)
        #expect(world.service.seen.enrolments == 1 && world.service.seen.renewals == 2)
    }

    /// Of several callers that a gate turned down with one token only the first renews.
    @Test func aRefusedTokenIsReplacedOnce() async throws {
        let world = try await World(.secret)
        let watchword = world.app.watchword
        let refused = try await world.app.token()
        let tokens = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 {
                group.addTask { try await watchword.replaceToken(SimulatedService.audience, refused: refused, isLost: false).token }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(tokens.count == 1 && !tokens.contains(refused))
        #expect(world.service.seen.renewals == 1)
        // Whose key is gone is another matter, but only where it is still the one that is held.
        let held = try await watchword.replaceToken(SimulatedService.audience, refused: refused, isLost: true)
        #expect(world.service.seen.enrolments == 1)
        _ = try await watchword.replaceToken(SimulatedService.audience, refused: held.token, isLost: true)
        #expect(world.service.seen.enrolments == 2 && world.service.seen.renewals == 1)
    }
}

/// Final refusals: an hour's pause that outlives the app needs the service's signature over this very statement.
@Suite struct RefusalsTests {
    private static let key = P256.Signing.PrivateKey()
    private static let binding = Data((0..<32).map { UInt8($0) })
    private static let header: JSONObject = ["alg": "ES256", "kid": "k1", "typ": "watchword-refusal+jwt"]
    private static let payload: JSONObject = [
        "v": 1, "iss": "https://attest.example", "app": "clinic", "binding": .text(binding.base64URL()),
        "type": "evidence-refused", "now": 1_800_000_000,
    ]

    private struct Keys: Transport {
        let document: JSONObject?
        func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer { throw URLError(.badURL) }
        func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
            guard url == "https://attest.example/.well-known/jwks.json", let document else { throw URLError(.timedOut) }
            return Answer(status: 200, headers: ["content-type": "application/json"], body: document.written())
        }
    }

    private static func jwk() throws -> JSONObject {
        var jwk = try PublicKeyJWK(x963Representation: key.publicKey.x963Representation).members()
        jwk["kid"] = "k1"
        return jwk
    }

    private static func signed(_ header: JSONObject = header, _ payload: JSONObject = payload) throws -> String {
        let message = "\(header.written().base64URL()).\(payload.written().base64URL())"
        return "\(message).\(try key.signature(for: Data(message.utf8)).rawRepresentation.base64URL())"
    }

    private static func verifies(_ signed: String, keys: [JSONObject]? = nil, isReachable: Bool = true) async throws -> Bool {
        let list = try keys ?? [jwk()]
        let ports = Ports(
            device: SimulatedPhone(isStated: true, canOpen: true), store: MemoryStore(),
            clock: SimulatedClock(now: 0, wallAhead: 0, boot: 0, bootID: "b"),
            transport: Keys(document: isReachable ? ["keys": .list(list.map(JSON.object))] : nil), sleep: { _ in }, jitter: { 1 })
        let exchange = Exchange(service: "https://attest.example", ports: ports) { _ in }
        return try await Refusals(exchange: exchange, issuer: "https://attest.example", app: "clinic")
            .verifies(signed, binding: binding, type: "evidence-refused")
    }

    @Test func theServicesOwnHolds() async throws {
        #expect(try await Self.verifies(Self.signed()))
        var other = try Self.jwk()
        other["kid"] = "k2"
        #expect(try await Self.verifies(Self.signed(), keys: [["kid": 1], other, Self.jwk()]))
    }

    @Test func anyDifferenceMakesItNone() async throws {
        for (name, value) in [
            ("v", 2), ("v", "1"), ("iss", "https://attest.example/"), ("app", "Clinic"),
            ("binding", .text(sha256(Self.binding).base64URL())),
            ("type", "instance-refused"), ("now", 0), ("now", "1800000000"), ("more", 1), ("v", nil), ("now", nil),
        ] as [(String, JSON?)] {
            var payload = Self.payload
            payload[name] = value
            #expect(try await !Self.verifies(Self.signed(Self.header, payload)), "payload \(name)")
        }
        for (name, value) in [
            ("alg", "none"), ("alg", "ES384"), ("kid", "k2"), ("kid", ""), ("typ", "JWT"), ("typ", nil), ("crit", .list([])),
        ] as [(String, JSON?)] {
            var header = Self.header
            header[name] = value
            #expect(try await !Self.verifies(Self.signed(header, Self.payload)), "header \(name)")
        }
    }

    @Test func anyOtherKeyMakesItNone() async throws {
        let signed = try Self.signed()
        #expect(try await !Self.verifies(signed, isReachable: false))
        #expect(try await !Self.verifies(signed, keys: []))
        for (name, value) in [("kty", "RSA"), ("crv", "P-384"), ("x", nil), ("y", ""), ("x", "AA"), ("kid", nil)] as [(String, JSON?)] {
            var jwk = try Self.jwk()
            jwk[name] = value
            #expect(try await !Self.verifies(signed, keys: [jwk]), "key \(name)")
        }
        let other = try PublicKeyJWK(x963Representation: P256.Signing.PrivateKey().publicKey.x963Representation)
        var jwk = other.members()
        jwk["kid"] = "k1"
        #expect(try await !Self.verifies(signed, keys: [jwk]))
    }

    @Test func whatIsNoTokenIsNone() async throws {
        let signed = try Self.signed()
        let parts = signed.components(separatedBy: ".")
        for text in [
            "", ".", "..", "...", "a.b", "\(signed).", "\(parts[0]).\(parts[1]).", "\(parts[0]).\(parts[1]).AA",
            "é.\(parts[1]).\(parts[2])",
            "\(parts[0]).e30.\(parts[2])", String(repeating: "a", count: 5_000), "\(signed)\(String(repeating: "A", count: 2_048))",
        ] {
            #expect(try await !Self.verifies(text), "\(text.prefix(20))")
        }
        var long = Self.payload
        long["app"] = .text(String(repeating: "c", count: 2_000))
        #expect(try await !Self.verifies(Self.signed(Self.header, long)))
    }
}
