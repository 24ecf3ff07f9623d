import Foundation
import Testing

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// What `Attempts` tells its adapter, beyond what the scenarios show.
@Suite struct AttemptsTests {
    private static let url = "\(Stage.api)/x"
    private static let none: @Sendable (String) -> String? = { _ in nil }

    @Test func requestsToOtherHostsAreNotOurs() async throws {
        let watchword = try Stage().watchword
        let others = ["https://other.example/", "http://api.example/", "https://api.example:444/", "https://api.example.evil/", "nonsense"]
        for url in others {
            #expect(try await watchword.attempts(AppRequest(method: "GET", url: url)) == nil)
        }
        #expect(try await watchword.attempts(AppRequest(method: "GET", url: "HTTPS://API.example:443/x")) != nil)
    }

    @Test func aRedirectAwayEndsItForGood() async throws {
        let attempts = try await begun("GET")
        #expect(try await attempts.sign(WireRequest(method: "GET", url: Self.url)).set["Watchword-Token"] != nil)
        await attempts.answered(status: 302, header: Self.none)
        for url in ["https://elsewhere.example/", "http://api.example/x", Self.url] {
            let headers = try await attempts.sign(WireRequest(method: "GET", url: url))
            #expect(headers.set.isEmpty)
            #expect(headers.remove.isSuperset(of: ["Watchword-Token", "Watchword-Status"]))
            await attempts.answered(status: 302, header: Self.none)
        }
        #expect(try await judged(attempts, "token-refused") == .deliver)
    }

    @Test func anotherHostsNonceIsNotTheGates() async throws {
        let stage = try Stage()
        try await stage.enrol()
        let request = AppRequest(method: "GET", url: Self.url)
        let away = try #require(try await stage.watchword.attempts(request))
        _ = try await away.sign(WireRequest(method: "GET", url: Self.url))
        await away.answered(status: 302, header: Self.none)
        _ = try await away.sign(WireRequest(method: "GET", url: "https://elsewhere.example/"))
        let nonce = String(repeating: "m", count: 30)
        await away.answered(status: 200) { $0 == "Watchword-Nonce" ? nonce : nil }
        let next = try #require(try await stage.watchword.attempts(request))
        let input = try #require(try await next.sign(WireRequest(method: "GET", url: Self.url)).set["Signature-Input"])
        #expect(!input.contains(nonce))
    }

    @Test func whatTheAppPutInOurHeadersGoes() async throws {
        let headers = try await begun("GET").sign(WireRequest(method: "GET", url: Self.url))
        #expect(headers.remove == ["Watchword-Token", "Watchword-Status", "Signature-Input", "Signature", "DPoP"])
        #expect(Set(headers.set.keys) == ["Watchword-Token", "Signature-Input", "Signature"])
    }

    @Test func aLibraryRepeatsNoPOST() async throws {
        let attempts = try await begun("POST")
        let first = try await attempts.sign(WireRequest(method: "POST", url: Self.url)).set
        #expect(await isUnknown { _ = try await attempts.sign(WireRequest(method: "POST", url: Self.url)) })
        // A redirect that makes a GET of it may be repeated; what it began as may not.
        let other = try await begun("POST")
        _ = try await other.sign(WireRequest(method: "POST", url: Self.url))
        await other.answered(status: 303, header: Self.none)
        let second = try await other.sign(WireRequest(method: "GET", url: "\(Stage.api)/y")).set
        #expect(try await other.sign(WireRequest(method: "GET", url: "\(Stage.api)/y")).set != second)
        #expect(await isUnknown { try await other.lost(URLError(.networkConnectionLost)) })
        #expect(first["Signature-Input"] != second["Signature-Input"])
    }

    @Test func aLibraryRepeatsWhatIsIdempotentWithAFreshProof() async throws {
        for attempts in [try await begun("GET"), try await begun("PUT"), try await begun("POST", key: "k1")] {
            var inputs: Set<String> = []
            for _ in 0..<3 {
                let headers = try await attempts.sign(WireRequest(method: "GET", url: Self.url))
                inputs.insert(try #require(headers.set["Signature-Input"]))
            }
            #expect(inputs.count == 3)
        }
        let blank = try await begun("POST", key: " ")
        _ = try await blank.sign(WireRequest(method: "POST", url: Self.url))
        #expect(await isUnknown { _ = try await blank.sign(WireRequest(method: "POST", url: Self.url)) })
    }

    @Test(arguments: ["short", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u{E9}", ""])
    func aNonceOfAnotherFormIsNone(nonce: String) async throws {
        let attempts = try await begun("GET")
        _ = try await attempts.sign(WireRequest(method: "GET", url: Self.url))
        await attempts.answered(status: 200) { $0 == "Watchword-Nonce" ? nonce : nil }
        let input = try #require(try await attempts.sign(WireRequest(method: "GET", url: Self.url)).set["Signature-Input"])
        #expect(input.components(separatedBy: "\"nonce=").count == 1)
        #expect(input.components(separatedBy: "nonce=\"")[1].prefix { $0 != "\"" }.count == 22)
        #expect(try await judged(attempts, "proof-nonce") { $0 == "Watchword-Nonce" ? nonce : nil } == .deliver)
    }

    @Test func theDigitsOfANonceMayBeAnyOfBase64URL() async throws {
        let attempts = try await begun("GET")
        let nonce = "AZaz09-_" + String(repeating: "m", count: 22)
        await attempts.answered(status: 401) { $0 == "Watchword-Nonce" ? nonce : nil }
        let input = try #require(try await attempts.sign(WireRequest(method: "GET", url: Self.url)).set["Signature-Input"])
        #expect(input.contains("nonce=\"\(nonce)"))
    }

    @Test func whatIsAboveTheAdapterRepeatsNoPOSTEither() async throws {
        let stage = try Stage()
        try await stage.enrol()
        let request = AppRequest(method: "POST", url: Self.url)
        for (status, isUnknown) in [(200, false), (502, true), (503, false), (504, true), (401, false)] {
            let first = try #require(try await stage.watchword.attempts(request))
            _ = try await first.sign(WireRequest(method: "POST", url: Self.url))
            await first.answered(status: status, header: Self.none)
            #expect(await self.isUnknown { _ = try await stage.watchword.attempts(request, after: first) } == isUnknown)
            let keyed = AppRequest(method: "POST", url: Self.url, idempotencyKey: "k1")
            #expect(try await stage.watchword.attempts(keyed, after: first) != nil)
        }
        let unsent = try #require(try await stage.watchword.attempts(request))
        await #expect(throws: URLError(.cannotFindHost)) { try await unsent.lost(URLError(.cannotFindHost)) }
        #expect(try await stage.watchword.attempts(request, after: unsent) != nil)
    }

    @Test(arguments: [
        URLError.Code.cannotConnectToHost, .cannotFindHost, .dnsLookupFailed, .secureConnectionFailed, .notConnectedToInternet,
    ])
    func whatFailedBeforeSendingIsTheLibrarysError(code: URLError.Code) async throws {
        #expect(Attempts.isBeforeSending(URLError(code)))
        let attempts = try await begun("POST")
        _ = try await attempts.sign(WireRequest(method: "POST", url: Self.url))
        await #expect(throws: URLError(code)) { try await attempts.lost(URLError(code), isBeforeSending: true) }
        // Nothing was sent, so that whoever is above may send it.
        let stage = try Stage()
        #expect(try await stage.watchword.attempts(AppRequest(method: "POST", url: Self.url), after: attempts) != nil)
        // Below another library's hook it may have been sent over another connection before.
        let other = try await begun("POST")
        _ = try await other.sign(WireRequest(method: "POST", url: Self.url))
        #expect(await isUnknown { try await other.lost(URLError(code)) })
        let unsigned = try await begun("POST")
        await #expect(throws: URLError(code)) { try await unsigned.lost(URLError(code)) }
    }

    @Test(arguments: [URLError.Code.networkConnectionLost, .timedOut, .badServerResponse, .cannotParseResponse, .unknown])
    func whatMayHaveBeenSentIsNotTakenForUnsent(code: URLError.Code) {
        #expect(!Attempts.isBeforeSending(URLError(code)))
        #expect(!Attempts.isBeforeSending(CancellationError()))
    }

    @Test func aTimeoutIsRepeatedByNobody() async throws {
        for (method, isKnown) in [("GET", true), ("HEAD", true), ("PUT", false), ("POST", false)] {
            let attempts = try await begun(method)
            _ = try await attempts.sign(WireRequest(method: method, url: Self.url))
            do {
                try await attempts.lost(URLError(.timedOut))
                Issue.record("\(method) is repeated")
            } catch let error as URLError {
                #expect(isKnown && error.code == .timedOut)
            } catch {
                #expect(!isKnown && (error as? WatchwordError)?.code == "outcome-unknown")
            }
        }
    }

    @Test func anErrorOfOursGoesOnAsItIs() async throws {
        let attempts = try await begun("POST")
        _ = try await attempts.sign(WireRequest(method: "POST", url: Self.url))
        let error = await outcome { try await attempts.lost(WatchwordError.pin(.init(host: "api.example", message: "no"))) }
        #expect((error as? WatchwordError)?.code == "pin")
    }

    @Test(arguments: [false, true])
    func aRefusalIsTheAnswerWhereNoOtherTokenIsToBeHad(sendUnproved: Bool) async throws {
        let stage = try Stage(sendUnproved: sendUnproved)
        try await stage.enrol()
        stage.phone.script(["renew": ["UNSUPPORTED"]])
        let refused = Stage.call(answer: Stage.refusal("token-refused"))
        let outcome = try await stage.during([refused, Stage.challenge("renew")]) {
            do {
                return "\(try await stage.request())"
            } catch let error as WatchwordError {
                return error.code
            }
        }
        #expect(outcome == (sendUnproved ? "401" : "device-unsupported"))
    }

    @Test func anAdapterThatForgetsToPrepareSendsNothingUnproved() async throws {
        let stage = try Stage()
        let attempts = try #require(try await stage.watchword.attempts(AppRequest(method: "GET", url: Self.url)))
        let headers = try await stage.during(Stage.enrolment()) { try await attempts.sign(WireRequest(method: "GET", url: Self.url)) }
        #expect(headers.set["Watchword-Token"] != nil)
    }

    @Test(arguments: [false, true])
    func aURLThatNoRequestLineHasIsRefused(sendUnproved: Bool) async throws {
        let stage = try Stage(sendUnproved: sendUnproved)
        try await stage.enrol()
        let attempts = try #require(try await stage.watchword.attempts(AppRequest(method: "GET", url: "\(Stage.api)/a b")))
        await #expect(throws: URLError(.badURL)) { _ = try await attempts.sign(WireRequest(method: "GET", url: "\(Stage.api)/a b")) }
    }

    @Test func nothingSaysATokenOrAProof() async throws {
        let attempts = try await begun("GET", url: "\(Self.url)?secret=1")
        let headers = try await attempts.sign(WireRequest(method: "GET", url: "\(Self.url)?secret=1"))
        var shown = "\(attempts) \(String(reflecting: attempts)) \(headers) \(String(reflecting: headers))"
        dump(attempts, to: &shown)
        dump(headers, to: &shown)
        #expect(shown.contains("Attempts(GET https://api.example)"))
        #expect(shown.contains("WireHeaders(set: [\"Signature\", \"Signature-Input\", \"Watchword-Token\"])"))
        for value in [String](headers.set.values) + ["secret=1"] { #expect(!shown.contains(value)) }
    }

    @Test func anUnknownOutcomeSaysNothingOfTheRequestButItsOrigin() async throws {
        let attempts = try await begun("POST", url: "\(Self.url)?secret=1")
        _ = try await attempts.sign(WireRequest(method: "POST", url: "\(Self.url)?secret=1"))
        let lost = URLError(.networkConnectionLost, userInfo: [NSURLErrorFailingURLStringErrorKey: "\(Self.url)?secret=1"])
        let error = await outcome { try await attempts.lost(lost) }
        let message = try #require((error as? WatchwordError)?.message)
        #expect(message.hasPrefix("the outcome of POST to https://api.example is unknown (URLError -1005, no answer)"))
        #expect(!message.contains("secret=1"))
    }

    // MARK: bodies

    @Test func theAppsOwnDigestCountsForAStream() async throws {
        let stream = WireBody(length: nil, isRepeatable: false) { throw URLError(.unknown) }
        let attempts = try await begun("POST", body: stream)
        let bare = try await attempts.sign(WireRequest(method: "POST", url: Self.url, body: stream)).set
        #expect(Set(bare.keys) == ["Watchword-Token"])
        await attempts.answered(status: 200, header: Self.none)
        let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
        let covered = try await attempts.sign(WireRequest(method: "POST", url: Self.url, contentDigest: digest, body: stream)).set
        #expect(covered["Signature-Input"]?.contains("\"content-digest\"") == true)
        #expect(covered["Content-Digest"] == digest)
    }

    @Test func aStreamIsNotRepeatedByAnyMethod() async throws {
        let stream = WireBody(length: nil, isRepeatable: false) { throw URLError(.unknown) }
        for slug in [nil, "proof-used"] {
            let attempts = try await begun("PUT", body: stream)
            _ = try await attempts.sign(WireRequest(method: "PUT", url: Self.url, body: stream))
            if let slug {
                await attempts.answered(status: 401, header: Self.none)
                #expect(await isUnknown { _ = try await self.judged(attempts, slug) })
            } else {
                #expect(await isUnknown { try await attempts.lost(URLError(.networkConnectionLost)) })
            }
        }
    }

    @Test func aBodyIsCoveredByItsDigest() async throws {
        let attempts = try await begun("POST", body: WireBody(Data("x".utf8)))
        let own = "sha-256=:AAAA:"
        let headers = try await attempts.sign(
            WireRequest(method: "POST", url: Self.url, contentDigest: own, body: WireBody(Data("x".utf8))))
        #expect(headers.set["Content-Digest"] == "sha-256=:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=:")
    }

    @Test func anEmptyBodyHasNoDigest() async throws {
        let attempts = try await begun("POST", body: WireBody(Data()))
        let headers = try await attempts.sign(WireRequest(method: "POST", url: Self.url, body: WireBody(Data())))
        #expect(headers.set["Content-Digest"] == nil)
        #expect(headers.set["Signature-Input"]?.contains("content-digest") == false)
    }

    @Test(arguments: [false, true])
    func aBodyThatCannotBeReadIsNotSentUnproved(sendUnproved: Bool) async throws {
        let body = WireBody(length: 3, isRepeatable: true) { throw CocoaError(.fileReadNoSuchFile) }
        let attempts = try await begun("POST", body: body, sendUnproved: sendUnproved)
        await #expect(throws: CocoaError.self) { _ = try await attempts.sign(WireRequest(method: "POST", url: Self.url, body: body)) }
    }

    @Test func whatIsMissingOfAStreamIsSaid() async throws {
        let attempts = try await begun("POST")
        guard case .lengthRequired(let error) = attempts.lengthMissing() else {
            Issue.record("another error")
            return
        }
        #expect(error.method == "POST" && error.origin == Stage.api && error.limit == 1024 * 1024)
    }

    // MARK: time

    @Test(arguments: ["9223372036854775807", "-9223372036854775808", "1e300"])
    func aTimeThatNoIntegerHoldsIsNotHeard(now: String) async throws {
        let attempts = try await timeless(Stage())
        _ = try await attempts.sign(WireRequest(method: "GET", url: Self.url))
        let body = Data(#"{"type":"urn:watchword:problem:proof-refused","title":"No","status":401,"now":\#(now)}"#.utf8)
        _ = try await attempts.judge(status: 401, header: Self.problem, body: { body })
        let headers = try await attempts.sign(WireRequest(method: "GET", url: Self.url))
        #expect(headers.set["Signature-Input"]?.contains(";created=1800000000;") == true)
    }

    @Test(arguments: [1e300, -1e300, .infinity, .nan])
    func aClockThatTellsNoTimeCostsAProofAtMost(ahead: Double) async throws {
        let stage = try Stage()
        stage.clock.set(wallAhead: ahead)
        let headers = try await timeless(stage).sign(WireRequest(method: "GET", url: Self.url))
        #expect(headers.set["Signature-Input"]?.contains(";created=0;") == true)
    }

    /// Returns what carries a request of a phone whose service tells no time: what a gate or the wall clock tells counts.
    private func timeless(_ stage: Stage) async throws -> Attempts {
        var told = try #require(Stage.enrolment().last).members
        told["answer"] = ["status": 200, "session": ["instance": "i1", "tokens": "t0", "life": 300]]
        let watchword = stage.watchword
        try await stage.during([Stage.challenge("enrol"), .object(told)]) { try await watchword.enrol() }
        return try #require(try await watchword.attempts(AppRequest(method: "GET", url: Self.url)))
    }

    @Test func whatAGateSaidEndsWhereTheServiceSaysOtherwise() async throws {
        func exchange(_ path: String, _ answer: Script) -> Script {
            ["expect": ["to": "service", "method": "POST", "path": .text(path)], "answer": answer]
        }
        func get(_ answer: Script, ahead: Int = 0) -> Script {
            let expect: Script = [
                "to": "api", "method": "GET", "path": "/x", "token": "t0", "proof": "session", "created_ahead": .whole(ahead),
            ]
            return ["expect": expect, "answer": answer]
        }
        func request(_ exchanges: Script...) -> Script {
            ["call": "request", "method": "GET", "path": "/x", "result": ["status": 200], "exchanges": .list(exchanges)]
        }
        let challenge = exchange("/v1/challenges", ["status": 200, "json": ["challenge": "c", "expires_in": 300]])
        let session: Script = ["instance": "i1", "tokens": "t0", "life": 300]
        let refused: Script = ["status": 401, "problem": ["slug": "proof-refused"], "date_ahead": 1000]
        let enrolled = exchange("/v1/attestations", ["status": 201, "session": session])
        let renewed = exchange("/v1/tokens", ["status": 200, "session": session, "now_ahead": 0])
        let steps: [Script] = [
            ["call": "enrol", "exchanges": [challenge, enrolled], "result": [:]],
            request(get(refused), get(["status": 200], ahead: 1000)),
            ["call": "renew", "exchanges": [challenge, renewed], "result": [:]],
            request(get(["status": 200])),
        ]
        try await Scenario(["steps": .list(steps)]).run()
    }

    // MARK: helpers

    private static let problem: @Sendable (String) -> String? = { $0 == "Content-Type" ? "application/problem+json" : nil }

    private func begun(
        _ method: String, url: String = url, key: String? = nil, body: WireBody? = nil, sendUnproved: Bool = false
    ) async throws -> Attempts {
        let stage = try Stage(sendUnproved: sendUnproved)
        try await stage.enrol()
        let request = AppRequest(method: method, url: url, idempotencyKey: key, body: body)
        let attempts = try #require(try await stage.watchword.attempts(request))
        try await attempts.prepare()
        return attempts
    }

    /// Returns what is to be done with a refusal.
    private func judged(
        _ attempts: Attempts, _ slug: String, _ header: @escaping @Sendable (String) -> String? = none
    ) async throws -> Verdict {
        let body = Data(#"{"type":"urn:watchword:problem:\#(slug)"}"#.utf8)
        return try await attempts.judge(status: 401, header: { header($0) ?? Self.problem($0) }, body: { body })
    }

    private func outcome(_ work: () async throws -> Void) async -> (any Error)? {
        do {
            try await work()
            return nil
        } catch {
            return error
        }
    }

    private func isUnknown(_ work: () async throws -> Void) async -> Bool {
        (await outcome(work) as? WatchwordError)?.code == "outcome-unknown"
    }
}

/// Whatever gates, networks and libraries do, in any order: no loop, no POST twice, no token elsewhere, no nonce twice.
@Suite struct HostileGateTests {
    private static let slugs = ["token-refused", "proof-nonce", "proof-refused", "proof-required", "proof-used", "unheard-of"]
    /// A first attempt, two after refusals, two after lost answers, one with a length; and what the library sends by itself.
    private static let mostSent = 6 + mostByLibrary
    private static let mostByLibrary = 3

    @Test(arguments: 0..<300)
    func nothingLoops(_ seed: Int) async throws {
        var dice = Dice(seed: UInt64(seed))
        let isStream = dice.roll(3) == 0
        let (method, key) = [("GET", nil), ("PUT", nil), ("POST", nil), ("POST", "k1")][dice.roll(4)] as (String, String?)
        let api = Watchword.API(
            audience: Stage.api, proofs: Proofs(otherwise: [.bearer, .session, .device][dice.roll(3)]), dpop: dice.roll(2) == 0,
            sendUnproved: dice.roll(2) == 0)
        let clock = SimulatedClock(now: 1_800_000_000, wallAhead: 0, boot: 1_000, bootID: "boot-1")
        let phone = SimulatedPhone(isStated: true, canOpen: true)
        let watchword = try SteppedApp(SimulatedService(clock: clock), phone, MemoryStore(), api: api).watchword
        let body = isStream ? WireBody(length: nil, isRepeatable: false) { Data() } : WireBody(Data("x".utf8))
        let request = AppRequest(method: method, url: "\(Stage.api)/x", idempotencyKey: key, body: method == "GET" ? nil : body)
        let attempts = try #require(try await watchword.attempts(request))
        var log = Log(isIdempotent: method != "POST" || key != nil)
        do {
            while try await goesOn(attempts, request, &dice, &log) {
                if log.sent > Self.mostSent { break }
            }
        } catch is WatchwordError {
        } catch is URLError {
        }
        #expect(log.sent <= Self.mostSent)
        #expect(log.offences == [])
    }

    /// What was sent, and what never may be.
    private struct Log {
        let isIdempotent: Bool
        var sent = 0
        var byLibrary = 0
        var isUnknown = false
        var isAway = false
        var nonces: Set<String> = []
        var offences: [String] = []
    }

    /// Sends one attempt and answers it; tells whether another is due.
    private func goesOn(_ attempts: Attempts, _ request: AppRequest, _ dice: inout Dice, _ log: inout Log) async throws -> Bool {
        var url = request.url
        while true {
            if url != request.url { log.isAway = true }
            let headers = try await attempts.sign(WireRequest(method: request.method, url: url, body: request.body))
            log.sent += 1
            if log.isUnknown && !log.isIdempotent && !log.isAway { log.offences.append("a POST was sent twice") }
            if log.isAway && !headers.set.isEmpty { log.offences.append("\(headers.set.keys) went elsewhere") }
            if let input = headers.set["Signature-Input"] {
                let nonce = input.components(separatedBy: "nonce=\"")[1].components(separatedBy: "\"")[0]
                if !log.nonces.insert(nonce).inserted { log.offences.append("a nonce came twice") }
            }
            log.isUnknown = true
            switch dice.roll(log.byLibrary < Self.mostByLibrary ? 10 : 8) {
            case 0: return try await lost(attempts, URLError(.networkConnectionLost))
            case 1: return try await lost(attempts, URLError(.timedOut))
            case 8:
                // The library sends it once more by itself.
                log.byLibrary += 1
            case 9:
                log.byLibrary += 1
                log.isUnknown = false
                await attempts.answered(status: 307) { _ in nil }
                url = dice.roll(3) == 0 ? "https://other.example/x" : request.url
            default: return try await answered(attempts, &dice, &log)
            }
        }
    }

    private func lost(_ attempts: Attempts, _ error: URLError) async throws -> Bool {
        try await attempts.lost(error)
        return true
    }

    private func answered(_ attempts: Attempts, _ dice: inout Dice, _ log: inout Log) async throws -> Bool {
        let status = [200, 401, 401, 401, 401, 411, 502, 504][dice.roll(8)]
        let slug = Self.slugs[dice.roll(Self.slugs.count)]
        let nonce = ["short", String(repeating: "n", count: 30), nil][dice.roll(3)]
        let now = 1_800_000_000 + [-1_000_000, -60, 0, 60, 119, 1_000_000][dice.roll(6)]
        let header: @Sendable (String) -> String? = { name in
            switch name {
            case "Watchword-Nonce": nonce
            case "Content-Type": "application/problem+json"
            default: nil
            }
        }
        log.isUnknown = status == 502 || status == 504 || (status == 401 && slug == "proof-used")
        await attempts.answered(status: status, header: header)
        let body = Data(#"{"type":"urn:watchword:problem:\#(slug)","title":"No","now":\#(now)}"#.utf8)
        return try await attempts.judge(status: status, header: header, body: { body }) != .deliver
    }

    /// Numbers that are the same for the same seed (SplitMix64).
    private struct Dice {
        var state: UInt64

        init(seed: UInt64) { state = seed }

        mutating func roll(_ sides: Int) -> Int {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return Int((mixed ^ (mixed >> 31)) % UInt64(sides))
        }
    }
}
