import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Tries the SDK on a real phone, step by step, and reports what it found; for developers and for support.
///
/// It enrols an instance of its own, beside the app's, and leaves no keys or documents behind. The service counts it as any other: it
/// ends by itself when nobody renews it. Apple counts one more key of this device.
///
/// ```swift
/// let report = await SelfTest(configuration, urls: [.session: "https://api.example/records/1"]).run()
/// share(report.json())
/// ```
public struct SelfTest: Sendable {
    private let configuration: Watchword.Configuration
    private let urls: [ProofKind: String]
    private let phone: Phone
    private let transport: any Transport
    private let device: any Device

    /// Plans a test.
    ///
    /// - Parameters:
    ///   - configuration: as the app's.
    ///   - urls: an address for each proof that is tried: a route of one of the configured APIs that asks for it. The step fails where
    ///     the answer came to a request with another proof.
    public init(_ configuration: Watchword.Configuration, urls: [ProofKind: String]) {
        let phone = Phone(configuration, kind: "selftest")
        self.init(configuration, urls: urls, phone: phone, device: phone.device(), transport: ServiceTransport())
    }

    init(
        _ configuration: Watchword.Configuration, urls: [ProofKind: String], phone: Phone, device: any Device, transport: any Transport
    ) {
        (self.configuration, self.urls, self.phone, self.device, self.transport) = (configuration, urls, phone, device, transport)
    }

    /// Runs every step, whatever became of those before it. Takes some seconds.
    public func run() async -> SelfTestReport {
        let watched = WatchedDevice(device: device)
        let wanted = Locked(ProofKind.bearer)
        var steps: [SelfTestReport.Step] = []
        steps.append(await step("clock") { Self.clock() })
        steps.append(await step("storage") { try storage() })
        do {
            let watchword = try watchword(watched, wanted)
            steps.append(await step("enrolment") { try await enrolment(watchword) })
            steps.append(await step("signature") { try await signature(watched) })
            steps.append(await step("sealing") { try await sealing(watchword) })
            steps.append(await step("renewal") { try await renewal(watchword) })
            for proof in [ProofKind.bearer, .session, .device] {
                guard let url = urls[proof] else { continue }
                wanted.withLock { $0 = proof }
                steps.append(await step("request \(proof.rawValue)") { try await request(watchword, proof, url) })
            }
        } catch {
            steps.append(await step("configuration") { throw error })
        }
        steps.append(await step("cleaning") { try cleaning() })
        return SelfTestReport(phone: Self.phone(), steps: steps, evidence: watched.evidence)
    }

    private func step(_ name: String, _ action: () async throws -> String) async -> SelfTestReport.Step {
        let clock = SystemClock()
        let begun = clock.boot()
        let (passed, detail): (Bool, String)
        do {
            (passed, detail) = (true, try await action())
        } catch let error as WatchwordError {
            (passed, detail) = (false, "\(error.code): \(error)")
        } catch {
            // A step that fails in any way is what the report is for; no error here holds a token.
            let cause = (error as? WireFailure)?.cause ?? error
            (passed, detail) = (false, "\(type(of: cause)): \(cause)")
        }
        return SelfTestReport.Step(name: name, passed: passed, detail: detail, millis: Int((clock.boot() - begun) * 1000))
    }

    private func watchword(_ device: WatchedDevice, _ wanted: Locked<ProofKind>) throws -> Watchword {
        let apis = configuration.apis.map { api in
            Watchword.API(
                audience: api.audience, origins: api.origins, proofs: Proofs { _, _ in wanted.withLock { $0 } }, dpop: api.dpop)
        }
        let tried = Watchword.Configuration(
            service: configuration.service, app: configuration.app, apis: apis, issuer: configuration.issuer, wait: configuration.wait,
            pins: configuration.pins)
        var ports = phone.ports(device)
        ports.transport = transport
        return try Watchword(tried, ports: ports)
    }

    private static func clock() -> String {
        let clock = SystemClock()
        return "start \(clock.bootID), \(Int(clock.boot())) s ago, sleep included"
    }

    private func storage() throws -> String {
        let store = phone.store("probe")
        let written = Data("probe".utf8)
        try store.write(written)
        guard try store.read() == written else { throw SelfTestError("got something else than what was written") }
        try store.clear()
        guard try store.read() == nil else { throw SelfTestError("got what was removed") }
        return "written, read and removed"
    }

    private func enrolment(_ watchword: Watchword) async throws -> String {
        do {
            try await watchword.enrol()
        } catch WatchwordError.offline(let error) where error.retryAfter == nil {
            // It may only have taken longer than the app would wait: it goes on, and is waited for.
            try await watchword.ready()
        }
        let document = try JSONObject.read(try phone.store("session").read() ?? Data(), limit: Self.maxSessionBytes)
        return "level \(watchword.level ?? "none"), instance \(try document.object("session").text("instance"))"
    }

    private func signature(_ device: WatchedDevice) async throws -> String {
        let clock = SystemClock()
        let begun = clock.boot()
        for _ in 1...Self.signatures { _ = try await device.sign(Data(count: Self.signedBytes)) }
        return "\(Int((clock.boot() - begun) * 1000) / Self.signatures) ms each"
    }

    private func sealing(_ watchword: Watchword) async throws -> String {
        for api in configuration.apis where try await watchword.credential(api.audience).sessionKey == nil {
            throw SelfTestError("got no session key for \(api.audience)")
        }
        return "opens session keys"
    }

    private func renewal(_ watchword: Watchword) async throws -> String {
        try await watchword.renew()
        return "level \(watchword.level ?? "none")"
    }

    /// Sends one request by hand, so as to see with which proof it went.
    private func request(_ watchword: Watchword, _ proof: ProofKind, _ url: String) async throws -> String {
        guard let address = URL(string: url), let attempts = try await watchword.attempts(AppRequest(method: "GET", url: url)) else {
            throw SelfTestError("the address is of none of the configured APIs")
        }
        let wire = Wire(pins: watchword.pins) { .ephemeral }
        while true {
            let signed = try await attempts.sign(WireRequest(method: "GET", url: url))
            var request = URLRequest(url: address, cachePolicy: .reloadIgnoringLocalCacheData)
            for (name, value) in signed.set { request.setValue(value, forHTTPHeaderField: name) }
            let (data, response) = try await wire.data(for: request, .none, limit: Self.maxSessionBytes)
            let header: @Sendable (String) -> String? = { response.value(forHTTPHeaderField: $0) }
            await attempts.answered(status: response.statusCode, header: header)
            let verdict = try await attempts.judge(
                status: response.statusCode, header: header, body: { Data(data.prefix(Attempts.maxAnswerBytes)) })
            if verdict != .deliver { continue }
            guard (200...299).contains(response.statusCode) else { throw SelfTestError("the API answered \(response.statusCode)") }
            let sent = Self.proof(signed)
            guard sent == proof else {
                throw SelfTestError(
                    "the API answered \(response.statusCode) to a \(sent.rawValue) proof, expected a \(proof.rawValue) proof")
            }
            return "the API answered \(response.statusCode)"
        }
    }

    private static func proof(_ headers: WireHeaders) -> ProofKind {
        if let input = headers.set["Signature-Input"] { return input.contains("hmac-sha256") ? .session : .device }
        return headers.set["DPoP"] == nil ? .bearer : .device
    }

    private func cleaning() throws -> String {
        try phone.remove()
        return "keys and documents removed"
    }

    private static func phone() -> [(String, String)] {
        var system = utsname()
        uname(&system)
        let machine = withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return [("model", machine), ("system", ProcessInfo.processInfo.operatingSystemVersionString)]
    }

    private static let signatures = 5
    private static let signedBytes = 300
    private static let maxSessionBytes = 1024 * 1024
}

/// What a step found amiss.
private struct SelfTestError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Remembers what a device answered when it was attested.
private final class WatchedDevice: Device {
    private let device: any Device
    private let attested = Locked<SelfTestReport.Attested?>(nil)

    init(device: any Device) {
        self.device = device
    }

    var evidence: SelfTestReport.Attested? { attested.withLock { $0 } }
    var canOpen: Bool { device.canOpen }

    func proofKey() async throws -> PublicKeyJWK? { try await device.proofKey() }
    func sealKey() async throws -> PublicKeyJWK { try await device.sealKey() }
    func createKeys() async throws { try await device.createKeys() }
    func renew(statement: Data) async throws -> Evidence { try await device.renew(statement: statement) }
    func sign(_ message: Data) async throws -> Data { try await device.sign(message) }
    func openSealed(info: Data, sealed: Data) async throws -> Data { try await device.openSealed(info: info, sealed: sealed) }

    func attest(binding: Data) async throws -> Evidence {
        let evidence = try await device.attest(binding: binding)
        attested.withLock { $0 = .init(binding: binding, evidence: evidence) }
        return evidence
    }
}

/// What ``SelfTest`` found. It names the phone's model and system, its instance and the key that was attested, and no token, private key
/// or identifier of the device.
public struct SelfTestReport: Sendable {
    /// One step.
    public struct Step: Sendable {
        /// Which one.
        public let name: String
        /// Whether it did what was expected.
        public let passed: Bool
        /// What was found.
        public let detail: String
        /// How long it took.
        public let millis: Int
    }

    /// Evidence and the binding that it carries.
    struct Attested: Sendable {
        let binding: Data
        let evidence: Evidence
    }

    /// In the order in which they were run.
    public let steps: [Step]
    private let phone: [(String, String)]
    private let evidence: Attested?

    init(phone: [(String, String)], steps: [Step], evidence: Attested?) {
        (self.phone, self.steps, self.evidence) = (phone, steps, evidence)
    }

    /// Whether every step passed.
    public var passed: Bool { steps.allSatisfy(\.passed) }

    /// Returns the report as JSON: `v`, `passed`, `phone`, `steps`, and where the phone attested `evidence` with `format`,
    /// `client_data_hash` (hex, for `watchword verify evidence --client-data-hash`), `statement` (the hash by which the service's record
    /// of this enrolment is found for `watchword verify replay`), `key_id` (hex) and `attestation` (base64 of the CBOR object).
    public func json() -> String {
        var facts = JSONObject()
        for (name, value) in phone { facts[name] = .text(value) }
        var report: JSONObject = ["v": 1, "passed": .bool(passed), "phone": .object(facts), "steps": .list(steps.map(Self.written))]
        if let evidence { report["evidence"] = .object(Self.written(evidence)) }
        return String(decoding: report.written(), as: UTF8.self)
    }

    private static func written(_ step: Step) -> JSON {
        ["name": .text(step.name), "passed": .bool(step.passed), "detail": .text(step.detail), "millis": .integer(Int64(step.millis))]
    }

    private static func written(_ attested: Attested) -> JSONObject {
        let members = attested.evidence.members
        let bytes = { (name: String) in members[name].flatMap { try? Base64URL.decode($0, limit: $0.utf8.count) } ?? Data() }
        return [
            "format": .text(attested.evidence.format), "client_data_hash": .text(hex(attested.binding)),
            "statement": .text(hex(attested.binding)), "key_id": .text(hex(bytes("key_id"))),
            "attestation": .text(bytes("attestation").base64EncodedString()),
        ]
    }

    private static func hex(_ data: Data) -> String { data.map { String(format: "%02x", $0) }.joined() }
}
