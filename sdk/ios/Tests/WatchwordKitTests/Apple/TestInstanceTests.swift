import CryptoKit
import Foundation
import LabAttester
import Testing

@testable @_spi(Phone) import WatchwordKit
@testable import WatchwordTestInstance

@Suite struct TestInstanceTests {
    private let store = FailingStore()

    private func device(_ code: String?) -> PhoneDevice {
        PhoneDevice(OperatorCode(code: code), keys: SoftwareKeys(), store: store)
    }

    private func verifies(_ device: PhoneDevice, _ evidence: Evidence, _ member: String, _ message: Data) async throws -> Bool {
        let key = try P256Points.publicKey(try #require(try await device.proofKey()))
        let der = try Base64URL.decode(try #require(evidence.members[member]), limit: 100)
        return key.isValidSignature(try P256.Signing.ECDSASignature(derRepresentation: der), for: message)
    }

    @Test func theCodeIsSpentOnAKeyOfOurs() async throws {
        let device = device("wwt_code")
        try await device.createKeys()
        let binding = Data(repeating: 9, count: 32)
        let evidence = try await device.attest(binding: binding)
        #expect(evidence.format == "operator_code")
        #expect(evidence.members.keys.sorted() == ["code", "key_signature"])
        #expect(evidence.members["code"] == "wwt_code")
        #expect(try await verifies(device, evidence, "key_signature", Data("watchword/test/v1\u{0}".utf8) + binding))
    }

    @Test func aLaterStartRenewsWithoutACode() async throws {
        try await device("wwt_code").createKeys()
        let later = device(nil)
        let evidence = try await later.renew(statement: Data("s".utf8))
        #expect(evidence.members.keys.sorted() == ["signature"])
        #expect(try await verifies(later, evidence, "signature", Data("watchword/renew/v1\u{0}s".utf8)))
    }

    @Test func withoutACodeNothingIsEnrolled() async throws {
        await #expect(throws: DeviceError.self) { try await device(nil).createKeys() }
        #expect(try store.read() == nil)
        do {
            try await device(nil).createKeys()
        } catch {
            #expect((error as? DeviceError)?.kind == .unsupported)
        }
    }

    @Test func softwareKeysOpenWhatTheySealed() throws {
        let keys = SoftwareKeys()
        let (one, two) = (try keys.agreementKey(nil), try keys.agreementKey(nil))
        #expect(try one.perform(two.point) == two.perform(one.point))
        #expect(try keys.agreementKey(one.representation).point == one.point)
        #expect(try keys.signingKey(keys.signingKey(nil).representation).representation.count == 32)
    }

    @Test func noDescriptionHoldsTheCode() {
        var shown = ""
        dump(OperatorCode(code: "wwt_code"), to: &shown)
        #expect(!(shown + "\(OperatorCode(code: "wwt_code"))").contains("wwt_code"))
    }

    @Test func bothKindsOfInstancesAreMade() throws {
        let configuration = Watchword.Configuration(service: "https://attest.example", app: "a", audiences: ["https://api.example"])
        _ = try Watchword.testInstance(configuration, code: nil)
        _ = try Watchword.lab(configuration, attester: try #require(URL(string: "http://127.0.0.1:8450")))
        _ = try Watchword(configuration)
        let none = Watchword.Configuration(service: "https://attest.example", app: "", audiences: ["https://api.example"])
        #expect(throws: ConfigurationError.self) { _ = try Watchword.testInstance(none, code: nil) }
    }
}
