import CryptoKit
import Foundation
import Testing

@testable import WatchwordKit

private let host = "api.clinic.example"
private let address = "https://api.clinic.example/records"

/// Pins as an app has them: nothing goes to whoever has another key, also where the platform trusts them.
@Suite struct PinsTests {
    private let genuine = SimulatedAuthority()
    private let company = SimulatedAuthority()
    private let publisher: PinPublisher
    private let store = PinStore()
    private let clock = PinClock()
    private let begun = Locked<[Task<Void, Never>]>([])
    private let own: Data

    init() throws {
        publisher = try PinPublisher()
        own = try genuine.server()
    }

    private func ports(_ transport: any Transport = NoService()) -> Ports {
        let trust = SimulatedTrust(authorities: [genuine, company])
        let platform = PinPorts(
            store: store, transport: publisher, chains: { try trust.chain($0, $1) },
            background: { [begun] work in begun.withLock { $0.append(Task { await work() }) } })
        return Ports(
            device: NoDevice(), store: PinStore(), clock: clock, transport: transport, sleep: { _ in }, jitter: { 0.5 }, pins: platform)
    }

    private func configuration(_ file: Data?) -> Watchword.Configuration {
        Watchword.Configuration(
            service: "https://\(host)", app: "clinic", apis: [Watchword.API(audience: "https://api.example")], pins: file)
    }

    private func pins(_ file: Data? = nil) throws -> Pins {
        try #require(try Pins.of(configuration(file ?? publisher.builtin()), ports()))
    }

    /// Waits for all that was begun in the background.
    private func settled() async {
        for task in begun.withLock({ $0 }) { await task.value }
    }

    /// Updates once what is under way has come to its end.
    private func update(_ pins: Pins) async {
        await settled()
        await pins.updater.update()
    }

    private func pin(_ certificate: Data, _ role: String = "c", reports: String? = nil, isReport: Bool = false) throws {
        try publisher.publish([host: [CertificatePins.pin(of: certificate): role]], reports: reports, isReport: isReport)
    }

    private func refusal(_ body: () throws -> Void) -> WatchwordError.Pin? {
        do {
            try body()
        } catch WatchwordError.pin(let pin) {
            return pin
        } catch {
            Issue.record("got \(error)")
        }
        return nil
    }

    @Test func serverWithAPinnedKeyIsSpokenTo() throws {
        try pin(own)
        try pins().check(host: host, presented: [own])
        try pins().check(host: "API.clinic.example.", presented: [own])
    }

    @Test func whoeverThePlatformTrustsGetsNothingWithoutAPinnedKey() throws {
        try publisher.publish([host: [CertificatePins.pin(of: own): "c", genuine.pin(): "a"]])
        let interceptor = try company.server()
        let pins = try pins()
        let refused = try #require(refusal { try pins.check(host: host, presented: [interceptor]) })
        #expect(refused.host == host)
        #expect(refused.message.hasSuffix("pins.mismatch"))
        // Another server of the same authority has the authority's pin above it.
        try pins.check(host: host, presented: [genuine.server()])
        // Hosts without pins are the platform's business.
        try pins.check(host: "other.example", presented: [interceptor])
        #expect(pins.isPinned(host) && !pins.isPinned("other.example"))
    }

    @Test func certificateOfAGenuineAuthorityBesideAForeignChainCountsForNothing() throws {
        try publisher.publish([host: [genuine.pin(): "a"]])
        let pins = try pins()
        #expect(refusal { try pins.check(host: host, presented: [company.server(), genuine.certificate()]) } != nil)
        try pins.check(host: host, presented: [own])
    }

    @Test func whatThePlatformDoesNotVerifyMatchesNothing() throws {
        try pin(own)
        let pins = try pins()
        #expect(refusal { try pins.check(host: host, presented: []) } != nil)
        #expect(refusal { try pins.check(host: host, presented: [SimulatedAuthority().server()]) } != nil)
        #expect(refusal { try pins.check(host: host, presented: [Data([1, 2, 3])]) } != nil)
        #expect(refusal { try pins.check(host: host, verified: [own, Data()]) } != nil)
        #expect(refusal { try pins.check(host: host, verified: []) } != nil)
        // The system's own way to a chain isn't there elsewhere than on Apple's systems, so that nothing passes.
        #if !canImport(Security)
            #expect(try PinPorts.systemChains([own], host).isEmpty)
        #endif
    }

    @Test func rotationOverTheAirIsFollowedAlsoByOpenConnections() async throws {
        try pin(own)
        let pins = try pins()
        let url = try #require(URL(string: address))
        try pins.check(host: host, verified: [own])
        try pins.admit(url)
        let generation = pins.generation
        let next = try genuine.server()
        try pin(next)
        await settled()
        clock.now += 7 * 3600
        pins.refresh()
        await settled()
        #expect(pins.version == 2)
        #expect(pins.generation != generation)
        // A connection of the old key may be open, or its TLS session be resumed.
        #expect(refusal { try pins.admit(url) }?.message.hasSuffix("pins.mismatch") == true)
        #expect(refusal { try pins.check(host: host, verified: [own]) } != nil)
        try pins.check(host: host, verified: [next])
        try pins.admit(url)
        // What was fetched holds after a restart too.
        #expect(try self.pins().version == 2)
    }

    @Test func connectionOfAHostThatIsPinnedLaterIsJudgedThen() async throws {
        try publisher.publish(["other.example": [CertificatePins.pin(of: own): "c"]])
        let pins = try pins()
        let url = try #require(URL(string: address))
        let interceptor = try company.server()
        try pins.check(host: host, verified: [interceptor])
        try pins.admit(url)
        try pin(own)
        await update(pins)
        #expect(refusal { try pins.admit(url) } != nil)
        // A TLS session that was used ten minutes ago isn't resumed any more, so that a handshake shows who is there.
        clock.uptime += 599
        #expect(refusal { try pins.admit(url) } != nil)
        clock.uptime += 1
        try pins.admit(url)
        #expect(refusal { try pins.check(host: host, verified: [interceptor]) } != nil)
    }

    @Test func connectionThatIsUsedStaysRemembered() async throws {
        try pin(own)
        let pins = try pins()
        let url = try #require(URL(string: address))
        try pins.check(host: host, verified: [own])
        for _ in 0..<3 {
            clock.uptime += 500
            try pins.admit(url)
        }
        try pin(genuine.server())
        await update(pins)
        #expect(refusal { try pins.admit(url) } != nil)
    }

    @Test func noMoreThanSixtyFourHostsAreRemembered() async throws {
        try pin(own)
        let pins = try pins()
        try pins.check(host: host, verified: [own])
        for number in 0..<64 {
            clock.uptime += 1
            try pins.check(host: "host\(number).example", verified: [own])
        }
        try pin(genuine.server())
        await pins.updater.update()
        // The one that was used longest ago was let go.
        try pins.admit(#require(URL(string: address)))
    }

    @Test func withdrawnSetClosesNothingAndGetsNoSecrets() async throws {
        try pin(own)
        let watchword = try Watchword(configuration(publisher.builtin()), ports: ports())
        let pins = try #require(watchword.pins)
        #expect(!pins.withholdsSecrets(host))
        try publisher.publishRoots(newKey: true)
        await pins.updater.update()
        #expect(pins.withholdsSecrets(host))
        try pins.check(host: host, presented: [company.server()])
        do {
            _ = try await watchword.secret("push")
            Issue.record("a secret was fetched")
        } catch WatchwordError.pin(let pin) {
            #expect(pin.host == host && pin.message.contains("no secret"))
        }
        // A genuine one under the new key ends it, whatever its version.
        try pin(own)
        await pins.updater.update()
        #expect(!pins.withholdsSecrets(host))
    }

    @Test func whatIsHeardBesideATokenIsFetchedAndOnlyOnce() async throws {
        try pin(own)
        let heard = Locked<[Int64]>([])
        var ports = ports()
        ports.hearPins = { version in heard.withLock { $0.append(version) } }
        let pins = try pins()
        let guarded = pins.guarded(ports)
        pins.refresh()
        await settled()
        #expect(publisher.change { $0.asked } == ["/v1/pins/clinic/roots/2", "/v1/pins/clinic"])
        pins.refresh()
        guarded.hearPins(1)
        await settled()
        #expect(publisher.change { $0.asked.count } == 2)
        try pin(own, "n")
        guarded.hearPins(2)
        await settled()
        #expect(pins.version == 2)
        #expect(publisher.change { $0.asked.count } == 4)
        #expect(heard.withLock { $0 } == [1, 2])
        #expect(pins.fault == nil)
    }

    @Test func serviceThatDoesNotAnswerChangesNothing() async throws {
        try pin(own)
        let pins = try pins()
        publisher.change { $0.status = 503 }
        pins.refresh()
        await settled()
        #expect(pins.fault?.contains("503") == true)
        try pins.check(host: host, presented: [own])
    }

    @Test func cleartextToAPinnedHostIsNotSent() throws {
        try pin(own)
        let pins = try pins()
        let refused = try #require(refusal { try pins.checkCleartext(host: host) })
        #expect(refused.message.contains("isn't TLS"))
        #expect(refusal { try pins.admit(#require(URL(string: "http://\(host)/"))) } != nil)
        #expect(refusal { try pins.admit(#require(URL(string: "HTTP://API.clinic.example:8080/"))) } != nil)
        try pins.admit(#require(URL(string: "http://other.example/")))
        try pins.admit(#require(URL(string: address)))
        try pins.admit(#require(URL(string: "wss://\(host)/")))
        #expect(refusal { try pins.admit(#require(URL(string: "ws://\(host)/"))) } != nil)
    }

    @Test func reportModeRefusesNothingAndTellsItOnceAtAnotherHost() async throws {
        try pin(own, reports: "https://reports.example.net/v1/pins/reports", isReport: true)
        let interceptor = try company.server()
        let pins = try pins()
        for _ in 0..<3 { try pins.check(host: host, presented: [interceptor]) }
        await settled()
        let reports = publisher.change { $0.reports }
        #expect(reports.count == 1)
        let told = try #require(reports.first)
        #expect(told.url == "https://reports.example.net/v1/pins/reports")
        #expect(try told.report["chain"] == .list([.text(CertificatePins.pin(of: interceptor)), .text(company.pin())]))
        #expect(told.report["refused"] == false)
        // Cleartext is told of too, and passes.
        try pins.checkCleartext(host: host)
        await settled()
        #expect(publisher.change { $0.reports.count } == 2)
    }

    @Test func failureIsNotReportedOverTheHostThatItIsAbout() async throws {
        try pin(own, reports: "https://\(host)/v1/pins/reports")
        let pins = try pins()
        #expect(refusal { try pins.check(host: host, presented: [company.server()]) } != nil)
        await settled()
        #expect(publisher.change { $0.reports.isEmpty })
    }

    @Test func reportThatNobodyTookIsTriedAgain() async throws {
        try pin(own, reports: "https://reports.example.net/")
        let pins = try pins()
        publisher.change { $0.status = 503 }
        let interceptor = try company.server()
        for _ in 0..<2 {
            #expect(refusal { try pins.check(host: host, presented: [interceptor]) } != nil)
            await settled()
        }
        #expect(publisher.change { $0.reports.count } == 2)
    }

    @Test func wayToTheServiceIsGuardedWhereItCanBe() async throws {
        try pin(own)
        let pins = try pins()
        let interceptor = try company.server()
        let guarded = pins.guarded(ports(HandshakingService(certificate: interceptor))).transport
        await #expect(throws: WatchwordError.self) { try await guarded.get("https://\(host)/", headers: [:], timeout: 1) }
        let genuine = pins.guarded(ports(HandshakingService(certificate: own))).transport
        #expect(try await genuine.get("https://\(host)/", headers: [:], timeout: 1).status == 200)
    }

    @Test func nameInAnotherScriptIsThatOfItsLabels() throws {
        try publisher.publish(["xn--bcher-kva.example": [CertificatePins.pin(of: own): "c"]])
        let pins = try pins()
        #expect(pins.isPinned("b\u{fc}cher.example"))
        try pins.check(host: "B\u{dc}CHER.example", presented: [own])
        #expect(refusal { try pins.check(host: "b\u{fc}cher.example", presented: [company.server()]) } != nil)
        // What can't be spelled in ASCII may be a pinned host.
        #expect(pins.isPinned("\u{fc}@other.example") && pins.withholdsSecrets("\u{fc}@other.example"))
        #expect(refusal { try pins.check(host: "\u{fc}@other.example", presented: [own]) } != nil)
        #expect(refusal { try pins.checkCleartext(host: "\u{fc}@other.example") } != nil)
    }

    @Test func fileThatCannotBeUsedIsRefusedAtTheStart() throws {
        try pin(own)
        let file = try publisher.builtin()
        #expect(throws: ConfigurationError.self) { try pins(Data(file.dropLast())) }
        let other = try PinPublisher(app: "another").builtin()
        #expect(throws: ConfigurationError("got the pins of another, expected those of clinic")) { try pins(other) }
        #expect(try Pins.of(configuration(nil), ports()) == nil)
    }

    @Test func descriptionTellsAppAndVersion() throws {
        try pin(own)
        #expect(try "\(pins())" == "Pins(app: clinic, version: 1)")
    }

    @Test func fiftyChecksAndUpdatesAtOnceAgree() async throws {
        try pin(own)
        let pins = try pins()
        let interceptor = try company.server()
        let url = try #require(URL(string: address))
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    for _ in 0..<4 {
                        // Whatever set is installed: the genuine key passes, the interceptor's doesn't.
                        #expect((try? pins.check(host: host, presented: [own])) != nil)
                        #expect((try? pins.check(host: host, presented: [interceptor])) == nil)
                        #expect((try? pins.admit(url)) != nil)
                        _ = (pins.version, pins.generation, pins.fault, pins.withholdsSecrets(host))
                        if number.isMultiple(of: 10) {
                            try? pin(own, number.isMultiple(of: 20) ? "n" : "b")
                            await pins.updater.update()
                        }
                    }
                }
            }
        }
        await settled()
        await pins.updater.update()
        #expect(pins.version == 21)
        #expect(pins.fault == nil)
        #expect(try self.pins().version == 21)
    }
}

/// A device that nobody asks.
struct NoDevice: Device {
    let canOpen = false

    func proofKey() async throws -> PublicKeyJWK? { throw DeviceError(.fault, "nobody asks") }
    func sealKey() async throws -> PublicKeyJWK { throw DeviceError(.fault, "nobody asks") }
    func createKeys() async throws { throw DeviceError(.fault, "nobody asks") }
    func attest(binding: Data) async throws -> Evidence { throw DeviceError(.fault, "nobody asks") }
    func renew(statement: Data) async throws -> Evidence { throw DeviceError(.fault, "nobody asks") }
    func sign(_ message: Data) async throws -> Data { throw DeviceError(.fault, "nobody asks") }
    func openSealed(info: Data, sealed: Data) async throws -> Data { throw DeviceError(.fault, "nobody asks") }
}

/// A service that is out of reach.
private struct NoService: Transport {
    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer { throw URLError(.timedOut) }
    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer { throw URLError(.timedOut) }
}

/// A service with a certificate, over a transport that asks the pins in its handshake.
private struct HandshakingService: GuardedTransport {
    let certificate: Data
    var pins: Pins?

    func guarded(by pins: Pins) -> any Transport { HandshakingService(certificate: certificate, pins: pins) }

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        try await get(url, headers: headers, timeout: timeout)
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        try pins?.check(host: URL(string: url)?.host ?? "", verified: [certificate])
        return Answer(status: pins == nil ? 500 : 200, headers: [:], body: Data())
    }
}
