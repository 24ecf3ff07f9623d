import Foundation
import Testing

@testable import WatchwordKit

/// The document that outlives the process: what was written is read, and nothing that may stand there ends the app.
@Suite struct SessionTests {
    static let key = Data((0..<32).map { UInt8($0 + 100) })

    static func remembered(next: Bool = true, refusal: Bool = true, key: Data? = key) -> Remembered {
        let held = HeldToken(token: "e30.e30.sig", expiresAt: 1_234.5, renewAt: 1_000.25, sessionKey: key, own: nil)
        return Remembered(
            session: Session(
                instance: "i-1", level: "hardware", tokens: ["https://api.example": held, "b": held], bound: next ? "bnd" : nil,
                bootID: "boot-1", asksDevice: next, next: next ? NextChallenge(challenge: "c-1", expiresAt: 99.5) : nil),
            refusal: refusal
                ? SignedRefusal(type: "evidence-refused", status: 403, title: "No", ref: nil, until: 4_600, bootID: "boot-1") : nil,
            ahead: refusal ? 1_799_999_000.5 : nil, aheadBootID: refusal ? "boot-1" : "", speaks: next)
    }

    @Test(arguments: [true, false], [true, false])
    func whatWasWrittenIsRead(next: Bool, refusal: Bool) throws {
        for key in [Self.key, nil] {
            let one = Self.remembered(next: next, refusal: refusal, key: key)
            let other = Remembered.read(one.written())
            let (session, expected) = (try #require(other.session), try #require(one.session))
            #expect(session.instance == "i-1" && session.level == "hardware" && session.bootID == "boot-1")
            #expect(session.bound == expected.bound && session.asksDevice == next)
            #expect(session.next?.challenge == expected.next?.challenge && session.next?.expiresAt == expected.next?.expiresAt)
            #expect(Set(session.tokens.keys) == ["https://api.example", "b"])
            for held in session.tokens.values {
                #expect(held.token == "e30.e30.sig" && held.expiresAt == 1_234.5 && held.renewAt == 1_000.25 && held.sessionKey == key)
            }
            #expect(other.refusal?.type == one.refusal?.type && other.refusal?.until == one.refusal?.until)
            #expect(other.refusal?.status == one.refusal?.status && other.refusal?.title == one.refusal?.title)
            #expect(other.refusal?.ref == nil && other.refusal?.bootID == one.refusal?.bootID)
            #expect(other.ahead == one.ahead && other.aheadBootID == one.aheadBootID && other.speaks == one.speaks)
        }
        #expect(Remembered.read(Remembered().written()).session == nil)
    }

    @Test func whatATokenSaysIsReadAnew() throws {
        let claims: JSONObject = ["sid": "s-1", "cnf": ["jwk": ["kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"]]]
        let token = "e30.\(claims.written().base64URL()).sig"
        var one = Self.remembered()
        one.session?.tokens = ["b": HeldToken(token: token, expiresAt: 1, renewAt: 1, sessionKey: nil, own: OwnToken.read(token))]
        #expect(Remembered.read(one.written()).session?.tokens["b"]?.own?.sessionID == "s-1")
    }

    @Test func aDocumentThatIsCutShortCountsAsNone() {
        let whole = Self.remembered().written()
        for size in 0..<whole.count {
            let got = Remembered.read(whole.prefix(size))
            #expect(got.session == nil && got.refusal == nil && got.ahead == nil && !got.speaks, "\(size) bytes")
        }
    }

    @Test func anyByteMayBeAnother() {
        let whole = Self.remembered().written()
        for place in whole.indices {
            for byte in [0x22, 0x39, 0x7d, whole[place] ^ 1] as [UInt8] {
                var other = whole
                other[place] = byte
                // What it makes of it doesn't matter, but that it makes something, and writes that again.
                let got = Remembered.read(other)
                #expect(Remembered.read(got.written()).session?.instance == got.session?.instance)
            }
        }
    }

    @Test func noiseCountsAsNone() {
        for size in [0, 1, 2, 16, 1_000, 1_048_577] {
            #expect(Remembered.read(random(size)).session == nil)
        }
        let deep = String(repeating: "[", count: 100_000)
        #expect(Remembered.read(Data(#"{"v":1,"session":\#(deep)"#.utf8)).session == nil)
    }

    private static let amiss = [
        #""v":1"#: #""v":2"#, #""status":403"#: #""status":99999999999999999999"#, #""status":403.0"#: #""status":1e308"#,
        #""instance":"i-1""#: #""instance":"""#, #""level":"hardware""#: #""level":7"#, #""tokens":{"#: #""tokens":[{"#,
        #""expires_at":1234.5"#: #""expires_at":-1"#, #""renew_at":1000.25"#: #""renew_at":"x""#,
        #""boot_id":"boot-1""#: #""boot_id":null"#, #""bnd":"bnd""#: #""bnd":3"#, #""until":4600"#: #""until":-4600"#,
        #""challenge":"c-1""#: #""challenge":"""#, #""token":"e30.e30.sig""#: #""token":null"#,
        #""session_key":"\#(key.base64URL())""#: #""session_key":"AA""#,
    ]

    @Test(arguments: amiss)
    func aMemberThatIsAmissCountsAsNoDocument(member: String, other: String) throws {
        let text = String(decoding: Self.remembered().written(), as: UTF8.self)
        let changed = text.replacingOccurrences(of: member, with: other)
        // Numbers may be written in another way, in which case there is nothing to replace.
        if changed == text { return #expect(member.contains("403.0") || member.contains("4600")) }
        let got = Remembered.read(Data(changed.utf8))
        #expect(got.session == nil && got.refusal == nil)
    }

    @Test func aNumberThatIsHugeTrapsNowhere() throws {
        let text = String(decoding: Self.remembered().written(), as: UTF8.self)
            .replacingOccurrences(of: "1234.5", with: "1.7e308").replacingOccurrences(of: "1000.25", with: "1e308")
        let got = Remembered.read(Data(text.utf8))
        #expect(got.session?.tokens["b"]?.expiresAt == 1.7e308)
        #expect(Ports.nanoseconds(1.7e308) == Ports.nanoseconds(.infinity))
        #expect(Ports.nanoseconds(-1) == 0 && Ports.nanoseconds(.nan) == 0 && Ports.nanoseconds(1.5) == 1_500_000_000)
    }

    @Test func aRefusalHoldsForItsBootAndAnHourAtMost() throws {
        let clock = SimulatedClock(now: 0, wallAhead: 0, boot: 1_000, bootID: "boot-1")
        for (until, bootID, holds) in [
            (4_600, "boot-1", true), (4_601, "boot-1", false), (1_000, "boot-1", false), (1_001, "boot-1", true), (4_600, "boot-2", false),
        ] as [(Double, String, Bool)] {
            let store = MemoryStore()
            let refusal = SignedRefusal(type: "evidence-refused", status: 403, title: "No", ref: "r", until: until, bootID: bootID)
            store.write(Remembered(refusal: refusal).written())
            let memory = Memory(store: store, clock: clock)
            let isHeld: Bool
            do {
                try memory.requireNoHold()
                isHeld = false
            } catch {
                isHeld = true
            }
            #expect(isHeld == holds, "\(until), \(bootID)")
        }
    }
}
