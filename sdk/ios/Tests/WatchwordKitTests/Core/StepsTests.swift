import Foundation
import Testing

@testable import WatchwordKit

/// What an app asks for, each beginning where something has to be asked of the service.
enum Journey: String, CaseIterable, Sendable {
    case enrolment
    case renewal
    case secret
    case firstSecret
    case newEnrolment

    /// Fewest steps that a call takes: fewer would be another journey.
    var steps: Int {
        switch self {
        case .enrolment, .newEnrolment: 9
        case .renewal: 6
        case .secret: 8
        case .firstSecret: 17
        }
    }
}

/// A world in which one journey is about to begin.
struct World: Sendable {
    let journey: Journey
    let clock = SimulatedClock(now: 1_800_000_000, wallAhead: 0, boot: 1_000, bootID: "boot-1")
    let phone = SimulatedPhone(isStated: true, canOpen: true)
    let store = MemoryStore()
    let service: SimulatedService
    let app: SteppedApp

    init(_ journey: Journey) async throws {
        self.journey = journey
        service = SimulatedService(clock: clock)
        app = try SteppedApp(service, phone, store)
        guard journey != .enrolment, journey != .firstSecret else { return }
        _ = try await app.token()
        if journey == .renewal { clock.advance(SimulatedService.life + 1) }
    }

    /// Starts the app again.
    func restarted() throws -> SteppedApp { try SteppedApp(service, phone, store) }

    func travel(_ app: SteppedApp) async throws {
        switch journey {
        case .enrolment, .renewal: _ = try await app.token()
        case .newEnrolment: try await app.watchword.enrol()
        case .secret, .firstSecret:
            let text = try await app.watchword.secret("push").use { String(decoding: $0, as: UTF8.self) }
            #expect(text == "hush")
        }
    }

    /// Says what would be amiss in every world.
    func check(_ app: SteppedApp) async throws {
        #expect(service.seen.offences == [])
        #expect(service.isAlive(try await app.token()))
        // What is stored goes on: a renewal, no enrolment.
        let (before, later) = (service.seen, try restarted())
        #expect(service.isAlive(try await later.token()))
        #expect(service.seen.renewals == before.renewals && service.seen.enrolments == before.enrolments)
        clock.advance(SimulatedService.life + 1)
        #expect(service.isAlive(try await later.token()))
        #expect(service.seen.renewals == before.renewals + 1 && service.seen.enrolments == before.enrolments)
        #expect(service.seen.offences == [])
    }
}

/// Things that happen at each step of an enrolment, a renewal or a secret's delivery, one after the other.
@Suite struct StepsTests {
    /// The caller goes away at the n-th await: it is told at once, the work goes on, and the next caller has all of it.
    @Test(arguments: Journey.allCases)
    func aCallerThatGoesAwayLosesAndDoublesNothing(_ journey: Journey) async throws {
        var step = 0
        while true {
            step += 1
            let world = try await World(journey)
            let before = world.service.seen
            let keys = world.phone.sealKeys.count
            let caller = Locked<Task<Void, any Error>?>(nil)
            world.app.steps.plan(at: step) {
                let task = caller.withLock { $0 }
                task?.cancel()
                // The step goes on once the caller is away: it would wait for ever for a caller that isn't told at once.
                _ = await task?.result
            }
            let start = Hold()
            let task = Task {
                await start.pass()
                try await world.travel(world.app)
            }
            caller.withLock { $0 = task }
            await start.open()
            let result = await task.result
            if world.app.steps.taken < step {
                try result.get()
                break
            }
            #expect(throws: CancellationError.self, "\(journey), step \(step)") { try result.get() }
            try await world.travel(world.app)
            let after = world.service.seen
            let enrols: Bool
            switch journey {
            case .enrolment, .firstSecret: enrols = true
            // The second call of enrol() may join the first, or come after it.
            case .newEnrolment: enrols = after.enrolments == before.enrolments + 1
            case .renewal, .secret: enrols = false
            }
            let made = journey == .newEnrolment && !enrols ? 2 : enrols ? 1 : 0
            #expect(after.enrolments == before.enrolments + made, "\(journey), step \(step)")
            #expect(world.phone.sealKeys.count == keys + made, "\(journey), step \(step)")
            #expect(after.renewals == before.renewals + (journey == .renewal ? 1 : 0), "\(journey), step \(step)")
            #expect(after.repeated == [], "\(journey), step \(step)")
            #expect(after.deliveries == (journey == .secret || journey == .firstSecret ? 1 : 0), "\(journey), step \(step)")
            try await world.check(world.app)
        }
        #expect(step > journey.steps)
    }

    /// The app is killed at the n-th step: its next start goes on, at most with a new enrolment.
    @Test(arguments: Journey.allCases)
    func anAppThatIsKilledGoesOn(_ journey: Journey) async throws {
        var step = 0
        while true {
            step += 1
            let world = try await World(journey)
            let before = world.service.seen
            let steps = world.app.steps
            steps.plan(at: step) { steps.die() }
            let result = await Task { try await world.travel(world.app) }.result
            if steps.taken < step {
                try result.get()
                break
            }
            #expect(throws: (any Error).self, "\(journey), step \(step)") { try result.get() }
            let next = try world.restarted()
            // After a new enrolment that was cut short the app only wants to go on, with whatever keys there are.
            if journey == .newEnrolment { _ = try await next.token() } else { try await world.travel(next) }
            let after = world.service.seen
            #expect(after.enrolments <= before.enrolments + 2, "\(journey), step \(step)")
            if journey == .renewal || journey == .secret {
                #expect(after.enrolments == before.enrolments, "\(journey), step \(step)")
            }
            try await world.check(next)
        }
        #expect(step > journey.steps)
    }

    /// A port fails once at the n-th step in a way that passes: whatever the app is told, nothing is lost, also not by a restart.
    @Test(arguments: Journey.allCases, [DeviceError.Kind.locked, .offline])
    func aFailureThatPassesLosesNothing(_ journey: Journey, _ kind: DeviceError.Kind) async throws {
        var step = 0
        while true {
            step += 1
            let world = try await World(journey)
            let before = world.service.seen
            world.app.steps.plan(at: step) { throw DeviceError(kind, "for a while") }
            let result = await Task { try await world.travel(world.app) }.result
            if world.app.steps.taken < step {
                try result.get()
                break
            }
            let isNew = world.phone.sealKeys.count > 1
            let next = try world.restarted()
            if journey == .newEnrolment { _ = try await next.token() } else { try await world.travel(next) }
            let after = world.service.seen
            if journey == .renewal || journey == .secret {
                #expect(after.enrolments == before.enrolments, "\(journey), step \(step)")
            }
            if case .failure = result, journey == .newEnrolment {
                // Where no keys were made the old instance is still there; where they were, it is gone.
                #expect(after.enrolments == before.enrolments + (isNew ? 1 : 0), "\(journey), step \(step)")
            }
            try await world.check(next)
        }
        #expect(step > journey.steps)
    }

    /// The phone sleeps for an hour at the n-th step: what came is judged by when it was asked for, and nothing dead is used.
    @Test(arguments: Journey.allCases)
    func aPhoneThatSleepsUsesNothingThatEnded(_ journey: Journey) async throws {
        var step = 0
        while true {
            step += 1
            let world = try await World(journey)
            world.app.steps.plan(at: step) { world.clock.advance(3_600) }
            try await world.travel(world.app)
            if world.app.steps.taken < step { break }
            #expect(world.service.isAlive(try await world.app.token()), "\(journey), step \(step)")
            #expect(world.service.seen.enrolments <= 2, "\(journey), step \(step)")
            #expect(world.service.seen.repeated == [], "\(journey), step \(step)")
            try await world.check(world.app)
        }
        #expect(step > journey.steps)
    }

    /// A token that ended while the phone slept isn't used, though nothing ran that could have noticed.
    @Test func aTokenThatEndedInSleepIsNotUsed() async throws {
        let world = try await World(.secret)
        let token = try await world.app.token()
        world.clock.advance(SimulatedService.life)
        #expect(world.app.watchword.heldToken(SimulatedService.audience) == nil)
        #expect(try await world.app.token() != token)
        #expect(world.service.seen.renewals == 1)
    }
}
