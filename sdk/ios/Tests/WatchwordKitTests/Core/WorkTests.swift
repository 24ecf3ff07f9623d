import Foundation
import Testing

@testable import WatchwordKit

/// Work that many wait for, each as long as they want.
@Suite struct WorkTests {
    /// Work that stands still until a test lets it go on, and what it brings.
    private final class Bench: Sendable {
        let work = Work(early: { work in Task { await work() } })
        let hold = Hold()
        let begun = Locked(0)
        let result = Locked<Int?>(nil)

        func wait(within limit: Double? = nil, key: String = "k") async throws -> Int {
            try await work.wait(key, within: limit, for: { result.withLock { $0 } }, doing: { try await self.done() })
        }

        func done() async throws {
            begun.withLock { $0 += 1 }
            await hold.pass()
            result.withLock { $0 = 7 }
        }
    }

    @Test func fiftyCallersMakeOneFlight() async throws {
        let bench = Bench()
        let callers = (0..<50).map { _ in Task { try await bench.wait() } }
        await bench.hold.arrival()
        await bench.hold.open()
        for caller in callers { #expect(try await caller.value == 7) }
        #expect(bench.begun.withLock { $0 } == 1)
        #expect(!bench.work.isUnderway("k"))
    }

    @Test func oneOfFiftyMayGoAwayAlone() async throws {
        for gone in stride(from: 0, to: 50, by: 7) {
            let bench = Bench()
            let callers = (0..<50).map { _ in Task { try await bench.wait() } }
            await bench.hold.arrival()
            callers[gone].cancel()
            // Told while the flight stands still.
            await #expect(throws: CancellationError.self) { try await callers[gone].value }
            await bench.hold.open()
            for (index, caller) in callers.enumerated() where index != gone { #expect(try await caller.value == 7) }
            #expect(bench.begun.withLock { $0 } == 1)
        }
    }

    @Test func theLastOnesAwayEndNoFlight() async throws {
        let bench = Bench()
        let callers = (0..<50).map { _ in Task { try await bench.wait() } }
        await bench.hold.arrival()
        for caller in callers { caller.cancel() }
        for caller in callers { await #expect(throws: CancellationError.self) { try await caller.value } }
        #expect(bench.work.isUnderway("k"))
        await bench.hold.open()
        #expect(try await bench.wait() == 7)
        #expect(bench.begun.withLock { $0 } == 1)
    }

    @Test func whoIsAwayAlreadyBeginsNothing() async throws {
        let bench = Bench()
        let start = Hold()
        let caller = Task {
            await start.pass()
            return try await bench.wait()
        }
        caller.cancel()
        await start.open()
        await #expect(throws: CancellationError.self) { try await caller.value }
        #expect(bench.begun.withLock { $0 } == 0)
        #expect(!bench.work.isUnderway("k"))
    }

    @Test func whatIsThereIsGivenEvenToWhoIsAway() async throws {
        let bench = Bench()
        bench.result.withLock { $0 = 3 }
        let start = Hold()
        let caller = Task {
            await start.pass()
            return try await bench.wait()
        }
        caller.cancel()
        await start.open()
        #expect(try await caller.value == 3)
        #expect(bench.begun.withLock { $0 } == 0)
    }

    @Test func aDeadlineEndsTheWaitAndNotTheWork() async throws {
        let bench = Bench()
        do {
            _ = try await bench.wait(within: 0.02)
            Issue.record("a flight that stands still brought something")
        } catch WatchwordError.offline(let error) {
            #expect(error.code == "service-unavailable")
            #expect(error.message == "nothing came within 0.02 s; the work goes on in the background")
        }
        #expect(bench.work.isUnderway("k"))
        await bench.hold.open()
        #expect(try await bench.wait() == 7)
        #expect(bench.begun.withLock { $0 } == 1)
    }

    @Test func anEarlyFailureSaysNothingToWhoNeedsIt() async throws {
        // A caller joins the early flight or comes after it, as chance has it: most of a hundred join. The work is done for each.
        for _ in 0..<100 {
            let bench = Bench()
            let early = Hold()
            await bench.work.beginEarly("k") {
                await early.pass()
                throw WatchwordError.unreadable("early")
            }
            await early.arrival()
            let caller = Task { try await bench.wait() }
            for _ in 0..<3 { await Task.yield() }
            await early.open()
            await bench.hold.open()
            #expect(try await caller.value == 7)
            #expect(bench.begun.withLock { $0 } == 1)
        }
    }

    @Test func anEarlyFlightIsBegunOnce() async throws {
        let bench = Bench()
        for _ in 0..<5 { await bench.work.beginEarly("k") { try await bench.done() } }
        await bench.hold.arrival()
        await bench.hold.open()
        #expect(try await bench.wait() == 7)
        #expect(bench.begun.withLock { $0 } == 1)
    }

    @Test func aFailureIsEverybodysAndNotTheNextOnes() async throws {
        let bench = Bench()
        let hold = Hold()
        let callers = (0..<10).map { _ in
            Task {
                try await bench.work.run("k", within: nil) {
                    await hold.pass()
                    throw WatchwordError.unreadable("once")
                }
            }
        }
        await hold.arrival()
        await hold.open()
        for caller in callers { await #expect(throws: WatchwordError.self) { try await caller.value } }
        await bench.hold.open()
        #expect(try await bench.wait() == 7)
    }

    @Test func whatIsVoidAtOnceIsTriedFourTimes() async throws {
        let work = Work(early: { await $0() })
        let begun = Locked(0)
        await #expect(throws: WatchwordError.self) {
            try await work.wait("k", within: nil, for: { nil as Int? }, doing: { begun.withLock { $0 += 1 } })
        }
        #expect(begun.withLock { $0 } == 4)
    }

    @Test func anEndFromOutsideIsNobodysCancellation() async throws {
        let work = Work(early: { await $0() })
        do {
            try await work.run("k", within: nil) { throw CancellationError() }
            Issue.record("nothing was thrown")
        } catch WatchwordError.offline(let error) {
            #expect(error.code == "service-unavailable")
        }
    }

    @Test func keysStandApart() async throws {
        let bench = Bench()
        let one = Task { try await bench.wait(key: "a") }
        await bench.hold.arrival()
        let other = Task { try await bench.wait(key: "b") }
        while bench.begun.withLock({ $0 }) < 2 { await Task.yield() }
        await bench.hold.open()
        #expect(try await one.value == 7)
        #expect(try await other.value == 7)
    }
}
