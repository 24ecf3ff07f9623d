import CryptoKit
import DeviceCheck
import Foundation
import Testing

@testable @_spi(Phone) import WatchwordKit

/// Apple's service in memory: keys that are attested once, and errors as a test says.
final class FakeAppAttest: AppAttestService {
    enum Call: Equatable { case generate, attest(String), assert(String) }

    private struct State {
        var made = 0
        var attested: Set<String> = []
        var failures: [any Error] = []
        var log: [Call] = []
        var hashes: [Data] = []
    }

    let isSupported: Bool
    private let state = Locked(State())

    init(isSupported: Bool = true) {
        self.isSupported = isSupported
    }

    var log: [Call] { state.withLock { $0.log } }
    var hashes: [Data] { state.withLock { $0.hashes } }

    /// The next calls fail so.
    func fail(_ errors: any Error...) { state.withLock { $0.failures = errors } }

    /// The phone is another one, or the app was installed anew: its keys are gone.
    func forgetKeys() { state.withLock { $0.attested = [] } }

    func generateKey() async throws -> String {
        try state.withLock { state in
            try begin(.generate, nil, &state)
            state.made += 1
            return Data("key \(state.made)".utf8).base64EncodedString()
        }
    }

    func attestKey(_ id: String, clientDataHash: Data) async throws -> Data {
        try state.withLock { state in
            try begin(.attest(id), clientDataHash, &state)
            guard state.attested.insert(id).inserted else { throw DCError(.invalidKey) }
            return Data("attestation".utf8)
        }
    }

    func generateAssertion(_ id: String, clientDataHash: Data) async throws -> Data {
        try state.withLock { state in
            try begin(.assert(id), clientDataHash, &state)
            guard state.attested.contains(id) else { throw DCError(.invalidKey) }
            return Data("assertion".utf8)
        }
    }

    private func begin(_ call: Call, _ hash: Data?, _ state: inout State) throws {
        state.log.append(call)
        hash.map { state.hashes.append($0) }
        if !state.failures.isEmpty { throw state.failures.removeFirst() }
    }
}

private func kind(_ action: () async throws -> Void) async -> DeviceError.Kind? {
    do {
        try await action()
        return nil
    } catch {
        return (error as? DeviceError)?.kind
    }
}

private let firstKey = Data("key 1".utf8).base64EncodedString()
private let binding = Data(repeating: 7, count: 32)

@Suite struct PhoneDeviceTests {
    private let service = FakeAppAttest()
    private let store = FailingStore()
    private let device: PhoneDevice

    init() {
        device = PhoneDevice(AppAttestor(service: service, isExtension: false), keys: EnclaveKeys(), store: store)
    }

    private func restarted() -> PhoneDevice {
        PhoneDevice(AppAttestor(service: service, isExtension: false), keys: EnclaveKeys(), store: store)
    }

    @Test func evidenceIsWhatAppleGaveOverTheBinding() async throws {
        try await device.createKeys()
        let enrolment = try await device.attest(binding: binding)
        #expect(enrolment.format == "app-attest")
        let attestation = Base64URL.encode(Data("attestation".utf8))
        #expect(enrolment.members == ["attestation": attestation, "key_id": Base64URL.encode(Data("key 1".utf8))])
        let renewal = try await device.renew(statement: Data("statement".utf8))
        #expect(renewal.format == "app-attest")
        #expect(renewal.members == ["assertion": Base64URL.encode(Data("assertion".utf8))])
        #expect(service.hashes == [binding, sha256(Data("statement".utf8))])
        #expect(service.log == [.generate, .attest(firstKey), .assert(firstKey)])
    }

    @Test func theKeysOutliveTheProcess() async throws {
        try await device.createKeys()
        _ = try await device.attest(binding: binding)
        let next = restarted()
        #expect(try await next.proofKey() == device.proofKey())
        #expect(try await next.sealKey() == device.sealKey())
        _ = try await next.renew(statement: Data())
        #expect(service.log.last == .assert(firstKey))
    }

    @Test func theProofKeySigns() async throws {
        try await device.createKeys()
        let jwk = try #require(try await device.proofKey())
        let key = try P256Points.publicKey(jwk)
        let message = Data("a request".utf8)
        for device in [device, restarted()] {
            let signature = try P256.Signing.ECDSASignature(derRepresentation: try await device.sign(message))
            #expect(key.isValidSignature(signature, for: message))
        }
        #expect(try await device.sealKey() != jwk)
    }

    @Test func eachEnrolmentHasKeysOfItsOwn() async throws {
        try await device.createKeys()
        let before = try await (device.proofKey(), device.sealKey())
        try await device.createKeys()
        let after = try await (device.proofKey(), device.sealKey())
        #expect(before.0 != after.0)
        #expect(before.1 != after.1)
        _ = try await device.attest(binding: binding)
        #expect(service.log.last == .attest(Data("key 2".utf8).base64EncodedString()))
    }

    @Test func errorsOfAppleAreOfTheKindsOfTheTable() async throws {
        let table: [(DCError.Code, DeviceError.Kind)] = [
            (.unknownSystemFailure, .fault), (.featureUnsupported, .unsupported), (.invalidInput, .fault), (.invalidKey, .keyLost),
            (.serverUnavailable, .transient),
        ]
        try await device.createKeys()
        for (code, expected) in table {
            service.fail(DCError(code))
            #expect(await kind { try await device.createKeys() } == expected, "generateKey \(code)")
            service.fail(DCError(code))
            #expect(await kind { _ = try await device.attest(binding: binding) } == expected, "attestKey \(code)")
            service.fail(DCError(code))
            #expect(await kind { _ = try await device.renew(statement: Data()) } == expected, "generateAssertion \(code)")
        }
        service.fail(CocoaError(.fileNoSuchFile))
        #expect(await kind { _ = try await device.attest(binding: binding) } == .fault)
    }

    @Test func afterServerUnavailableTheSameKeyIsAttested() async throws {
        try await device.createKeys()
        service.fail(DCError(.serverUnavailable), DCError(.serverUnavailable))
        for _ in 1...2 { #expect(await kind { _ = try await device.attest(binding: binding) } == .transient) }
        _ = try await device.attest(binding: binding)
        #expect(service.log == [.generate, .attest(firstKey), .attest(firstKey), .attest(firstKey)])
        #expect(service.hashes == [binding, binding, binding])
    }

    @Test func keysOfAnInstallationBeforeAreLost() async throws {
        try await device.createKeys()
        _ = try await device.attest(binding: binding)
        service.forgetKeys()
        #expect(await kind { _ = try await device.renew(statement: Data()) } == .keyLost)
    }

    @Test func aPhoneWithoutKeysSaysSo() async throws {
        #expect(await kind { _ = try await device.proofKey() } == .keyLost)
        #expect(await kind { _ = try await device.sealKey() } == .keyLost)
        #expect(await kind { _ = try await device.attest(binding: binding) } == .keyLost)
        #expect(await kind { _ = try await device.renew(statement: Data()) } == .keyLost)
        #expect(await kind { _ = try await device.sign(Data()) } == .keyLost)
        #expect(service.log.isEmpty)
    }

    @Test func whatCannotBeReadIsLost() async throws {
        for document in ["", "{}", #"{"id":"a","proof":"AA","seal":"AA"}"#, "\u{0}"] {
            try store.write(Data(document.utf8))
            #expect(await kind { _ = try await restarted().proofKey() } == .keyLost, "\(document)")
        }
    }

    @Test func aSimulatorIsUnsupportedAndNothingIsMade() async throws {
        let other = FakeAppAttest(isSupported: false)
        let device = PhoneDevice(AppAttestor(service: other, isExtension: false), keys: EnclaveKeys(), store: store)
        #expect(await kind { try await device.createKeys() } == .unsupported)
        #expect(other.log.isEmpty)
        #expect(try store.read() == nil)
    }

    @Test func anExtensionIsUnsupportedWhateverAppleSays() async throws {
        let device = PhoneDevice(AppAttestor(service: service, isExtension: true), keys: EnclaveKeys(), store: store)
        service.fail(DCError(.unknownSystemFailure))
        #expect(await kind { try await device.createKeys() } == .unsupported)
        // Some kinds of extensions are served.
        try await device.createKeys()
        _ = try await device.attest(binding: binding)
    }

    @Test func aLockedPhoneMakesNoKeyAtApple() async throws {
        store.fail(DeviceError(.locked, "locked"))
        #expect(await kind { try await device.createKeys() } == .locked)
        #expect(await kind { _ = try await device.sign(Data()) } == .locked)
        #expect(service.log.isEmpty)
    }
}

@Suite struct EnclaveTests {
    private struct Broken: Error {}
    private let store = FailingStore()

    private func device() -> PhoneDevice {
        PhoneDevice(AppAttestor(service: FakeAppAttest(), isExtension: false), keys: EnclaveKeys(), store: store)
    }

    /// The Secure Enclave fails at these calls, counted from 1.
    private func failing(
        _ failing: SimulatedEnclave.Call, at numbers: Set<Int>, _ error: any Error, _ action: () async throws -> Void
    ) async rethrows {
        let count = Locked(0)
        let enclave = SimulatedEnclave { call in
            guard call == failing else { return }
            let number = count.withLock { value in
                value += 1
                return value
            }
            if numbers.contains(number) { throw error }
        }
        try await SimulatedEnclave.$current.withValue(enclave) { try await action() }
    }

    private let locked = NSError(domain: NSOSStatusErrorDomain, code: Int(KeychainStatus.interactionNotAllowed))

    @Test func aKeyThatCannotBeMadeIsAFault() async throws {
        let device = device()
        await failing(.create, at: [1], Broken()) { #expect(await kind { try await device.createKeys() } == .fault) }
        await failing(.create, at: [2], Broken()) { #expect(await kind { try await device.createKeys() } == .fault) }
        await failing(.create, at: [1], locked) { #expect(await kind { try await device.createKeys() } == .locked) }
        #expect(try store.read() == nil)
    }

    @Test func aSignatureThatFailsOnceIsMadeAgain() async throws {
        let device = device()
        try await device.createKeys()
        await failing(.sign, at: [1], Broken()) { #expect(await kind { _ = try await device.sign(Data()) } == nil) }
        await failing(.sign, at: [1, 2], Broken()) { #expect(await kind { _ = try await device.sign(Data()) } == .keyLost) }
        await failing(.sign, at: [1], locked) { #expect(await kind { _ = try await device.sign(Data()) } == .locked) }
        #expect(await kind { _ = try await device.sign(Data()) } == nil)
    }

    @Test func aKeyThatCannotBeOpenedIsLost() async throws {
        try await device().createKeys()
        for number in 1...2 {
            let call: SimulatedEnclave.Call = .restore
            await failing(call, at: [number], Broken()) { #expect(await kind { _ = try await device().sign(Data()) } == .keyLost) }
            await failing(call, at: [number], locked) { #expect(await kind { _ = try await device().sign(Data()) } == .locked) }
        }
        #expect(await kind { _ = try await device().sign(Data()) } == nil)
    }

    @Test func whatWasNotSealedToThisKeyIsAFault() async throws {
        let device = device()
        try await device.createKeys()
        let stranger = P256.KeyAgreement.PrivateKey().publicKey.x963Representation
        #expect(await kind { _ = try await device.openSealed(info: Data(), sealed: stranger + Data(count: 48)) } == .fault)
        #expect(await kind { _ = try await device.openSealed(info: Data(), sealed: Data(count: 10)) } == .fault)
        await failing(.agree, at: [1, 2], Broken()) {
            #expect(await kind { _ = try await device.openSealed(info: Data(), sealed: stranger + Data(count: 48)) } == .keyLost)
        }
        await failing(.agree, at: [1], locked) {
            #expect(await kind { _ = try await device.openSealed(info: Data(), sealed: stranger + Data(count: 48)) } == .locked)
        }
    }

    @Test func noDescriptionHoldsAKey() throws {
        let key = try EnclaveKeys().signingKey(nil)
        var shown = ""
        dump(key, to: &shown)
        #expect(!(shown + "\(key)" + String(reflecting: key)).contains(key.representation.base64EncodedString()))
        #expect(!shown.contains("bytes"))
    }
}
