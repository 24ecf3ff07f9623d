import Foundation
import Testing

@testable @_spi(Phone) import WatchwordKit

@Suite struct SelfTestTests {
    private let scratch: Scratch
    private let keychain = FakeKeychain()
    private let service = SmallService()

    init() throws {
        scratch = try Scratch()
    }

    private func proof(_ seen: Seen) -> ProofKind? {
        guard seen.header("Watchword-Token") != nil else { return nil }
        guard let input = seen.header("Signature-Input") else { return .bearer }
        return input.contains("hmac-sha256") ? .session : .device
    }

    private func gate(asking wanted: ProofKind) throws -> SocketServer {
        try SocketServer { seen, _ in
            let isRight = (seen.header("Signature-Input") == nil) == (wanted == .bearer)
            let body = #"{"type":"urn:watchword:problem:proof-required","title":"no","status":401}"#
            return isRight ? .text(200, "") : .text(401, body, ["Content-Type": "application/problem+json"])
        }
    }

    private func report(_ api: String, _ urls: [ProofKind: String], _ service: FakeAppAttest = FakeAppAttest()) async -> SelfTestReport {
        let configuration = Watchword.Configuration(
            service: "https://attest.example", app: "clinic", apis: [.init(audience: api)], wait: 3600)
        let phone = Phone(configuration, kind: "selftest", directory: scratch.url, keychain: keychain)
        let device = phone.device(service: service)
        return await SelfTest(configuration, urls: urls, phone: phone, device: device, transport: self.service).run()
    }

    private func step(_ report: SelfTestReport, _ name: String) throws -> SelfTestReport.Step {
        try #require(report.steps.first { $0.name == name })
    }

    @Test func everyStepIsRunAndNothingIsLeft() async throws {
        let api = try gate(asking: .device)
        defer { api.close() }
        let report = await report(api.url, [.device: api.url + "/"])
        let names = ["clock", "storage", "enrolment", "signature", "sealing", "renewal", "request device", "cleaning"]
        #expect(report.steps.map(\.name) == names)
        // The small service has no session keys to give.
        #expect(report.steps.filter { !$0.passed }.map(\.name) == ["sealing"])
        #expect(!report.passed)
        #expect(try step(report, "enrolment").detail == "level hardware, instance i")
        #expect(api.seen.map(proof) == [.device])
        #expect(keychain.isEmpty)
    }

    @Test func theReportHoldsTheEvidenceAndNoToken() async throws {
        let appAttest = FakeAppAttest()
        let text = await report("https://api.example", [:], appAttest).json()
        let object = try JSONObject.read(Data(text.utf8), limit: 100_000)
        let evidence = try object.object("evidence")
        let hash = try #require(appAttest.hashes.first)
        #expect(try evidence.text("format") == "app-attest")
        #expect(try evidence.text("client_data_hash") == hash.map { String(format: "%02x", $0) }.joined())
        #expect(try evidence.text("statement") == evidence.text("client_data_hash"))
        #expect(try evidence.text("key_id") == Data("key 1".utf8).map { String(format: "%02x", $0) }.joined())
        #expect(try Data(base64Encoded: evidence.text("attestation")) == Data("attestation".utf8))
        #expect(object["v"] == 1)
        #expect(!text.contains("e30."))
    }

    @Test func anAPIThatTakesAnotherProofFailsTheStep() async throws {
        let api = try gate(asking: .device)
        defer { api.close() }
        let step = try await step(report(api.url, [.bearer: api.url + "/"]), "request bearer")
        #expect(!step.passed)
        #expect(step.detail.hasSuffix("the API answered 200 to a device proof, expected a bearer proof"))
        #expect(api.seen.map(proof) == [.bearer, .device])
    }

    @Test func anAddressOfNoAPIFailsTheStep() async throws {
        let other = try gate(asking: .bearer)
        defer { other.close() }
        let step = try await step(report("https://api.example", [.bearer: other.url + "/"]), "request bearer")
        #expect(step.detail.hasSuffix("the address is of none of the configured APIs"))
        #expect(other.seen.isEmpty)
    }

    @Test func aPhoneThatCannotAttestIsReported() async throws {
        let report = await report("https://api.example", [:], FakeAppAttest(isSupported: false))
        #expect(try step(report, "enrolment").detail.hasPrefix("device-unsupported"))
        #expect(report.steps.last?.name == "cleaning")
        #expect(try JSONObject.read(Data(report.json().utf8), limit: 100_000)["evidence"] == nil)
    }
}
