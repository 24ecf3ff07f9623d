import Foundation
import Testing

@testable import WatchwordKit

/// Secrets in memory: how long they are there, and that nothing is left of them.
@Suite struct SecretTests {
    private static let text = "hush-hush"

    @Test func bytesAreZeroOnceItIsClosed() {
        let secret = Secret(Data(Self.text.utf8))
        #expect(secret.text() == Self.text)
        let address = secret.withBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(secret.withBytes { Data($0) } == Data(Self.text.utf8))
        secret.close()
        secret.close()
        secret.withBytes { bytes in
            // The very memory that it was in, not other memory.
            #expect(UInt(bitPattern: bytes.baseAddress) == address)
            #expect(bytes.count == Self.text.utf8.count && bytes.allSatisfy { $0 == 0 })
        }
    }

    @Test func itIsClosedAfterUseHoweverThatEnds() throws {
        let secret = Secret(Data(Self.text.utf8))
        #expect(secret.use { String(decoding: $0, as: UTF8.self) } == Self.text)
        #expect(secret.withBytes { $0.allSatisfy { $0 == 0 } })
        let other = Secret(Data(Self.text.utf8))
        #expect(throws: CancellationError.self) { try other.use { _ in throw CancellationError() } }
        #expect(other.withBytes { $0.allSatisfy { $0 == 0 } })
    }

    @Test func aCopyHasALifeOfItsOwn() {
        let one = Secret(Data(Self.text.utf8))
        let other = one.copy()
        one.close()
        #expect(other.text() == Self.text)
    }

    @Test func itMayBeClosedAndReadInUse() {
        let secret = Secret(Data(Self.text.utf8))
        secret.withBytes { bytes in
            #expect(secret.text() == Self.text)
            secret.close()
            #expect(bytes.allSatisfy { $0 == 0 })
        }
    }

    @Test func nothingAtAllIsASecretToo() {
        let secret = Secret(Data())
        #expect(secret.text() == "")
        secret.close()
        #expect(secret.copy().withBytes { $0.count } == 0)
    }

    @Test func manyMayReadWhileOneCloses() async {
        let secret = Secret(Data(Self.text.utf8))
        await withTaskGroup(of: Bool.self) { group in
            for index in 0..<50 {
                group.addTask {
                    if index == 25 { secret.close() }
                    let got = secret.withBytes { Data($0) }
                    return got == Data(Self.text.utf8) || got == Data(count: Self.text.utf8.count)
                }
            }
            for await isWhole in group { #expect(isWhole) }
        }
    }

    /// What a device opened is overwritten where it stands, once the secret has a copy.
    @Test func whatWasOpenedIsOverwritten() async throws {
        // Long enough that Swift keeps it on the heap.
        let text = String(repeating: Self.text, count: 20)
        let count = text.utf8.count
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 1)
        defer { memory.deallocate() }
        memory.copyMemory(from: text, byteCount: count)
        let place = UInt(bitPattern: memory)
        let delivery = try await Self.delivery(expiresAt: 1) {
            guard let start = UnsafeMutableRawPointer(bitPattern: place) else { return nil }
            return Data(bytesNoCopy: start, count: count, deallocator: .none)
        }
        #expect(delivery.value.text() == text)
        #expect(UnsafeRawBufferPointer(start: memory, count: count).allSatisfy { $0 == 0 })
    }

    private static func delivery(expiresAt: Double, _ open: @escaping @Sendable () -> Data?) async throws -> Delivery {
        let key = PublicKeyJWK(x: "eA", y: "eQ")
        let statement = Statement(
            .secret, issuer: "i", audiences: [], app: "clinic", challenge: "c", proofKey: nil, sealKey: key, secret: "push")
        let answer: JSONObject = [
            "name": "push", "version": 1, "lease": "l-1", "expires_in": .number(expiresAt), "expires_at": 1, "sealed": "AAAA",
        ]
        return try await Delivery.read(answer, statement: statement, sentAt: 0, app: "clinic", name: "push", share: 0.5) { _, _ in open() }
    }

    private let clock = SimulatedClock(now: 0, wallAhead: 0, boot: 0, bootID: "b")

    private func secrets(_ fetched: Locked<Int>, lease: Double = 1_000, failing: WatchwordError? = nil) -> Secrets {
        Secrets(clock) { [clock] _, attempts in
            let count = fetched.withLock { fetched in
                fetched += 1
                return fetched
            }
            if let failing, count > 1 { throw failing }
            let now = clock.boot()
            return Delivery(
                value: Secret(Data("\(Self.text)-\(count)".utf8)), expiresAt: now + lease, refetchAt: now + lease / 2)
        }
    }

    @Test func aLeaseIsCountedByTheBootClock() async throws {
        let secrets = secrets(Locked(0))
        #expect(secrets.copy("push") == nil)
        try await secrets.refresh("push")
        #expect(secrets.copy("push")?.text() == "hush-hush-1" && !secrets.isDue("push"))
        clock.advance(500)
        #expect(secrets.isDue("push") && secrets.copy("push") != nil)
        clock.advance(500)
        #expect(secrets.copy("push") == nil && !secrets.isDue("push"))
    }

    @Test func anEarlyFetchThatFailsIsPutOff() async throws {
        let count = Locked(0)
        let secrets = secrets(count, failing: .unreadable("busy"))
        try await secrets.refresh("push")
        try await secrets.refreshEarly("push")
        #expect(count.withLock { $0 } == 1)
        clock.advance(500)
        try await secrets.refreshEarly("push")
        #expect(count.withLock { $0 } == 2 && !secrets.isDue("push"))
        clock.advance(99)
        #expect(!secrets.isDue("push"))
        clock.advance(1)
        #expect(secrets.isDue("push") && secrets.copy("push")?.text() == "hush-hush-1")
    }

    @Test(arguments: ["secret-refused", "instance-refused", "evidence-refused"])
    func aRefusalTakesItAway(type: String) async throws {
        let secrets = secrets(Locked(0), failing: .refused(.init(type: type, status: 403, title: "No", ref: nil)))
        try await secrets.refresh("push")
        clock.advance(500)
        try await secrets.refreshEarly("push")
        #expect(secrets.copy("push") == nil)
    }

    @Test func anotherRefusalDoesNot() async throws {
        let secrets = secrets(Locked(0), failing: .refused(.init(type: "challenge-refused", status: 403, title: "No", ref: nil)))
        try await secrets.refresh("push")
        clock.advance(500)
        try await secrets.refreshEarly("push")
        #expect(secrets.copy("push") != nil)
    }

    @Test func whatIsForgottenReplacedOrLetGoIsOverwritten() async throws {
        let made = Locked<[Secret]>([])
        var secrets: Secrets? = Secrets(clock) { _, _ in
            let value = Secret(Data(Self.text.utf8))
            made.withLock { $0.append(value) }
            return Delivery(value: value, expiresAt: 1_000, refetchAt: 0)
        }
        try await secrets?.refresh("push")
        // Another caller was quicker: what it brought is enough.
        try await secrets?.refresh("push")
        #expect(made.withLock { $0.count } == 1)
        try await secrets?.refreshEarly("push")
        try await secrets?.refresh("other")
        #expect(made.withLock { $0.map { $0.text() == Self.text } } == [false, true, true])
        secrets?.forget("push")
        #expect(made.withLock { $0.map { $0.text() == Self.text } } == [false, false, true])
        secrets = nil
        #expect(made.withLock { $0.map { $0.text() == Self.text } } == [false, false, false])
    }

    @Test func whatIsForgottenWhileItIsFetchedAgainDoesNotComeBack() async throws {
        let (made, app) = (Locked<[Secret]>([]), Locked<Secrets?>(nil))
        let secrets = Secrets(clock) { _, attempts in
            // The app says so while the early fetch, which is made once, is on its way.
            if attempts == 1 { app.withLock { $0 }?.forget("push") }
            let value = Secret(Data(Self.text.utf8))
            made.withLock { $0.append(value) }
            return Delivery(value: value, expiresAt: 1_000, refetchAt: 500)
        }
        app.withLock { $0 = secrets }
        defer { app.withLock { $0 = nil } }
        try await secrets.refresh("push")
        clock.advance(500)
        try await secrets.refreshEarly("push")
        #expect(secrets.copy("push") == nil)
        #expect(made.withLock { $0.map { $0.text() == Self.text } } == [false, false])
    }

    /// The timer alone: nobody asks, and the simulated clock stands still.
    @Test func aLeaseThatEndedIsOverwrittenThoughNobodyAsks() async throws {
        let value = Secret(Data(Self.text.utf8))
        let secrets = Secrets(clock) { _, _ in Delivery(value: value, expiresAt: 0.01, refetchAt: 0.005) }
        try await secrets.refresh("push")
        while value.text() == Self.text { await Task.yield() }
        #expect(secrets.copy("push") == nil)
    }

    @Test(
        arguments: [
            "name": "other", "version": 0, "lease": "l 1", "expires_in": 2_678_401, "expires_at": 0, "sealed": "A",
        ] as [String: JSON])
    func anAnswerThatIsAmissIsNoSecret(member: String, value: JSON) async throws {
        let key = PublicKeyJWK(x: "eA", y: "eQ")
        let statement = Statement(
            .secret, issuer: "i", audiences: [], app: "clinic", challenge: "c", proofKey: nil, sealKey: key, secret: "push")
        let good: JSONObject = [
            "name": "push", "version": 1, "lease": "l-1", "expires_in": 2_678_400, "expires_at": 1, "sealed": "AAAA",
        ]
        for other in [value, nil, .null, -1, 1.5] as [JSON?] where !(member == "expires_in" && other == 1.5) {
            var answer = good
            answer[member] = other
            await #expect(throws: WatchwordError.self) {
                _ = try await Delivery.read(answer, statement: statement, sentAt: 0, app: "clinic", name: "push", share: 1) { _, _ in Data()
                }
            }
        }
        let read = try await Delivery.read(good, statement: statement, sentAt: 5, app: "clinic", name: "push", share: 0.5) { _, _ in Data()
        }
        #expect(read.expiresAt == 2_678_405 && read.refetchAt == 1_339_205)
    }
}
