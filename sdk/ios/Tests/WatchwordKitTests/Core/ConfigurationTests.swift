import Foundation
import Testing

@testable import WatchwordKit

/// What an app says of its service, and what is said of what can't be right.
@Suite struct ConfigurationTests {
    static let service = "https://attest.example"

    @Test func whatIsLeftOutIsTheUsual() throws {
        let configuration = Watchword.Configuration(service: "\(Self.service)/", app: "clinic", audiences: ["https://a.example"])
        #expect(configuration.service == Self.service)
        #expect(configuration.issuer == Self.service)
        #expect(configuration.wait == 10)
        #expect(configuration.pins == nil)
        let api = try #require(configuration.apis.first)
        #expect(api.origins == ["https://a.example"])
        #expect(!api.dpop && !api.sendUnproved)
        #expect(api.proofs.choose("GET", "/any") == .session)
        #expect(try configuration.apisByOrigin().keys.map(\.description) == ["https://a.example"])
    }

    @Test func everyOriginLeadsToItsAPI() throws {
        let api = Watchword.API(audience: "a", origins: ["https://a.example", "https://A.example:443", "http://127.0.0.1:8080"])
        let found = try Watchword.Configuration(service: Self.service, app: "clinic", apis: [api]).apisByOrigin()
        #expect(Set(found.keys.map(\.description)) == ["https://a.example", "http://127.0.0.1:8080"])
        #expect(found.values.allSatisfy { $0.audience == "a" })
    }

    @Test(arguments: [
        ("http://attest.example", "clinic", ["https://a.example"], 10, "service: got 'http://attest.example', expected an origin"),
        ("https://attest.example/v1", "clinic", ["https://a.example"], 10, "service: got 'https://attest.example/v1', expected"),
        (service, "", ["https://a.example"], 10, "app: got no name, expected the app's name in watchword.yaml"),
        (service, "clinic", [], 10, "apis: got none, expected at least one"),
        (service, "clinic", ["https://a.example"], 0, "wait: got 0.0 s, expected more than 0 and at most 3600 s"),
        (service, "clinic", ["https://a.example"], .nan, "wait: got nan s, expected more than 0 and at most 3600 s"),
        (service, "clinic", ["https://a.example"], 3601, "wait: got 3601.0 s, expected more than 0 and at most 3600 s"),
        (service, "clinic", ["https://a.example", "https://a.example"], 10, "apis: got the audience 'https://a.example' twice"),
        (service, "clinic", ["a.example"], 10, "origins: got 'a.example', expected an origin"),
        (service, "clinic", ["https://a.example", "https://A.example:443"], 10, "origins: got 'https://a.example' for two APIs"),
    ])
    func mistakesAreNamed(service: String, app: String, audiences: [String], wait: Double, message: String) throws {
        let apis = audiences.map { Watchword.API(audience: $0) }
        let error = try #require(configurationError(Watchword.Configuration(service: service, app: app, apis: apis, wait: wait)))
        #expect(error.message.hasPrefix(message))
        #expect("\(error)" == error.message)
        #expect(error.localizedDescription == error.message)
    }

    @Test func anAPINeedsAnOrigin() throws {
        let configuration = Watchword.Configuration(service: Self.service, app: "clinic", apis: [.init(audience: "a", origins: [])])
        #expect(try #require(configurationError(configuration)).message == "origins: got none for 'a', expected at least one")
    }

    @Test(arguments: [0.001, 3600])
    func waitsOfUpToAnHourAreTaken(wait: Double) {
        let apis = [Watchword.API(audience: "https://a.example")]
        #expect(configurationError(Watchword.Configuration(service: Self.service, app: "clinic", apis: apis, wait: wait)) == nil)
    }

    @Test(arguments: ["payments", "", "**", "*/pay", "/pay**", "/**/pay", "/pay/**/x", "/pay*", "/p*y/x", "/pay/***"])
    func patternsThatNeverFitAreNamed(pattern: String) throws {
        for proofs in [Proofs(device: [pattern]), Proofs(session: ["/", pattern]), Proofs(bearer: [pattern, "/**"])] {
            let api = Watchword.API(audience: "https://a.example", proofs: proofs)
            let error = configurationError(Watchword.Configuration(service: Self.service, app: "clinic", apis: [api]))
            #expect(error?.message == "proofs: got the pattern '\(pattern)', expected a path such as /login or /payments/**")
        }
    }

    @Test(arguments: ["/", "/**", "/*", "/*/**", "/pay/*/x/", "/a/*"])
    func otherPatternsAreTaken(pattern: String) {
        let api = Watchword.API(audience: "https://a.example", proofs: Proofs(device: [pattern]))
        #expect(configurationError(Watchword.Configuration(service: Self.service, app: "clinic", apis: [api])) == nil)
    }

    @Test(arguments: [
        ("/payments", ProofKind.device), ("/payments/1", .device), ("/payments/1/2", .device), ("/paymentsx", .bearer),
        ("/patients/7/notes", .session), ("/patients/7/notes/", .bearer), ("/patients/notes", .bearer), ("/patients/7", .bearer),
        ("/", .bearer), ("/login", .bearer), ("/login/", .device),
    ])
    func theFirstListThatFitsCounts(path: String, expected: ProofKind) {
        let proofs = Proofs(
            device: ["/payments/**", "/login/"], session: ["/patients/*/notes", "/payments/1"], bearer: ["/login"], otherwise: .bearer)
        #expect(proofs.choose("GET", path) == expected)
    }

    @Test func listsGoBeforeTheRest() {
        let proofs = Proofs(device: ["/a"], session: ["/a", "/b"], bearer: ["/b", "/c"], otherwise: .device)
        #expect(["/a", "/b", "/c", "/d"].map { proofs.choose("GET", $0) } == [.device, .session, .bearer, .device])
    }

    @Test func anAppMayChooseByItsOwnRule() {
        let proofs = Proofs { method, path in method == "POST" && path == "/pay" ? .device : .bearer }
        #expect(proofs.choose("POST", "/pay") == .device)
        #expect(proofs.choose("GET", "/pay") == .bearer)
    }

    private func configurationError(_ configuration: Watchword.Configuration) -> ConfigurationError? {
        do {
            _ = try configuration.apisByOrigin()
            return nil
        } catch {
            return error as? ConfigurationError
        }
    }
}

/// The header `Date` of a gate.
@Suite struct HTTPDateTests {
    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
        ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200), ("Fri, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ("Fri, 15 Jan 2027 08:00:00 GMT", 1_800_000_000), ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1), ("Sat, 31 Dec 2022 00:00:00 GMT", 1_672_444_800),
    ])
    func isSecondsSince1970(text: String, expected: Double) {
        #expect(httpDate(text) == expected)
    }

    @Test func isAsFoundationReadsIt() throws {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        for day in stride(from: -30_000.0, to: 60_000, by: 13) {
            let time = day * 86_400 + 3_723
            #expect(httpDate(format.string(from: Date(timeIntervalSince1970: time))) == time)
        }
    }

    @Test(arguments: [
        nil, "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 nov 1994 08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 Nov 1994 08:49.37 GMT", "Sun, 06 Nov 1994 08:49:3 7GMT",
        "Sun, 06 Nov 199\u{0664} 08:49:37 GM",
    ])
    func anythingElseIsNone(text: String?) {
        #expect(httpDate(text) == nil)
    }
}
