import Foundation
import Testing

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Holds whoever comes until it is let go.
actor Hold {
    private var held: [CheckedContinuation<Void, Never>] = []
    private var awaiting: [CheckedContinuation<Void, Never>] = []
    private var hasCome = false
    private var isOpen = false

    /// Comes, and waits to be let go.
    func pass() async {
        hasCome = true
        awaiting.forEach { $0.resume() }
        awaiting = []
        if !isOpen { await withCheckedContinuation { held.append($0) } }
    }

    /// Waits until somebody has come.
    func arrival() async {
        if !hasCome { await withCheckedContinuation { awaiting.append($0) } }
    }

    /// Lets everybody go, also who comes later.
    func open() {
        isOpen = true
        held.forEach { $0.resume() }
        held = []
    }
}

/// One app among a phone, a service and an API that answer as a script says, and that a test may hold in the midst of it.
struct Stage {
    static let api = "https://api.example"

    let world: ScriptedWorld
    let phone = SimulatedPhone(isStated: false, canOpen: true)
    let clock = SimulatedClock(now: 1_800_000_000, wallAhead: 0, boot: 1_000, bootID: "boot-1")
    let run: AppRun
    let watchword: Watchword
    /// Where whatever is scripted as held waits.
    let hold = Hold()

    init(proof: ProofKind = .session, sendUnproved: Bool = false, jitter: Double = 0.5) throws {
        let hold = hold
        world = ScriptedWorld(config: ["service": "https://attest.example", "audiences": ["\(Self.api)"]], clock: clock, phone: phone)
        run = AppRun(world: world, phone: phone, store: MemoryStore()) { _ in await hold.pass() }
        let api = Watchword.API(audience: Self.api, proofs: Proofs(otherwise: proof), sendUnproved: sendUnproved)
        let ports = Ports(device: run, store: run, clock: clock, transport: run, sleep: { _ in }, jitter: { jitter })
        let configuration = Watchword.Configuration(service: "https://attest.example", app: "clinic", apis: [api], wait: 600)
        watchword = try Watchword(configuration, ports: ports)
    }

    /// Does what `work` says while the exchanges come about, all of them and no others.
    func during<Result: Sendable>(_ exchanges: [Script], _ work: @escaping @Sendable () async throws -> Result) async throws -> Result {
        await world.begin(exchanges)
        let result = try await run.outcome(work)
        try await world.end()
        return result
    }

    /// Enrols, with tokens of this name that live for 300 seconds.
    func enrol(_ name: String = "t0") async throws {
        let watchword = watchword
        try await during(Self.enrolment(name)) { try await watchword.enrol() }
    }

    /// Sends a request as an adapter does.
    func request(_ method: String = "GET") async throws -> Int {
        let attempts = try #require(try await watchword.attempts(AppRequest(method: method, url: "\(Self.api)/x")))
        try await attempts.prepare()
        while true {
            let headers = try await attempts.sign(WireRequest(method: method, url: "\(Self.api)/x"))
            let sent = Dictionary(headers.set.map { ($0.key.lowercased(), $0.value) }) { $1 }
            let answer: Answer
            do {
                answer = try await world.exchange(
                    Received(method: method, url: "\(Self.api)/x", headers: sent, body: nil, isStream: false), of: run)
            } catch {
                try await attempts.lost(error)
                continue
            }
            let header: @Sendable (String) -> String? = { answer.headers[$0.lowercased()] }
            await attempts.answered(status: answer.status, header: header)
            switch try await attempts.judge(status: answer.status, header: header, body: { answer.body }) {
            case .deliver: return answer.status
            case .repeat, .repeatWithLength: break
            }
        }
    }

    static func challenge(_ purpose: String, isHeld: Bool = false) -> Script {
        held(
            [
                "expect": ["to": "service", "method": "POST", "path": "/v1/challenges", "json": ["purpose": .text(purpose)]],
                "answer": ["status": 200, "json": ["challenge": "c0", "expires_in": 300, "protocol": "1.1"]],
            ], isHeld)
    }

    static func enrolment(_ name: String = "t0", isHeld: Bool = false) -> [Script] {
        [challenge("enrol", isHeld: isHeld), tokens("/v1/attestations", name)]
    }

    static func renewal(_ name: String = "t1", isHeld: Bool = false) -> [Script] {
        [challenge("renew", isHeld: isHeld), tokens("/v1/tokens", name)]
    }

    private static func tokens(_ path: String, _ name: String) -> Script {
        [
            "expect": ["to": "service", "method": "POST", "path": .text(path)],
            "answer": ["status": 200, "session": ["instance": "i1", "tokens": .text(name), "life": 300], "now_ahead": 0],
        ]
    }

    static func call(
        _ method: String = "GET", token: String = "t0", proof: String = "session", answer: Script = ["status": 200], isHeld: Bool = false
    ) -> Script {
        let expect: Script = ["to": "api", "method": .text(method), "path": "/x", "token": .text(token), "proof": .text(proof)]
        return held(["expect": expect, "answer": answer], isHeld)
    }

    static func refusal(_ slug: String) -> Script { ["status": 401, "problem": ["slug": .text(slug)]] }

    private static func held(_ exchange: [String: Script], _ isHeld: Bool) -> Script {
        .object(isHeld ? exchange.merging(["meanwhile": []]) { $1 } : exchange)
    }
}

/// Many callers at once, and callers that go away: one enrolment, nobody waits in vain, nothing is left behind.
@Suite struct ConcurrencyTests {
    @Test func fiftyCallersMakeOneEnrolment() async throws {
        let stage = try Stage()
        let tokens = try await stage.during(Stage.enrolment()) {
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<50 { group.addTask { try await stage.watchword.token(for: Stage.api) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
        #expect(tokens.count == 50)
        #expect(Set(tokens).count == 1)
    }

    @Test func fiftyRequestsWithARefusedTokenMakeOneRenewal() async throws {
        let stage = try Stage()
        try await stage.enrol()
        var refused = Stage.call(answer: Stage.refusal("token-refused")).members
        var proved = Stage.call(token: "t1").members
        refused["times"] = 50
        proved["times"] = 50
        let statuses = try await stage.during([.object(refused)] + Stage.renewal() + [.object(proved)]) {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 { group.addTask { try await stage.request() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
        #expect(statuses == Array(repeating: 200, count: 50))
    }

    @Test func whoHasAValidTokenDoesNotWaitForItsRenewal() async throws {
        let stage = try Stage()
        try await stage.enrol()
        stage.clock.advance(220)
        let name = try await stage.during(Stage.renewal(isHeld: true)) {
            let first = try await stage.watchword.token(for: Stage.api)
            await stage.hold.arrival()
            // The renewal is under way now, and held.
            let second = try await stage.watchword.token(for: Stage.api)
            await stage.hold.open()
            var third = second
            while third == second {
                await Task.yield()
                third = try await stage.watchword.token(for: Stage.api)
            }
            return try [first, second, third].map(ScriptedWorld.name(of:))
        }
        #expect(name == ["t0", "t0", "t1"])
    }

    @Test func whoGoesAwayLeavesTheOthersTheirEnrolment() async throws {
        let stage = try Stage()
        let outcomes = try await stage.during(Stage.enrolment(isHeld: true)) {
            let callers = (0..<10).map { _ in Task { try await stage.watchword.token(for: Stage.api) } }
            await stage.hold.arrival()
            callers[0].cancel()
            callers[7].cancel()
            // They are told at once, while the enrolment is still held.
            let gone = [await callers[0].result, await callers[7].result]
            await stage.hold.open()
            return [gone[0]] + (await results(callers[1...6])) + [gone[1]] + (await results(callers[8...9]))
        }
        for (index, outcome) in outcomes.enumerated() {
            switch outcome {
            case .success(let token):
                #expect(![0, 7].contains(index))
                #expect(try ScriptedWorld.name(of: token) == "t0")
            case .failure(let error):
                #expect([0, 7].contains(index))
                #expect(error is CancellationError)
            }
        }
    }

    @Test func anEnrolmentOutlivesItsOnlyCaller() async throws {
        let stage = try Stage()
        let token = try await stage.during(Stage.enrolment(isHeld: true)) {
            let caller = Task { try await stage.watchword.token(for: Stage.api) }
            await stage.hold.arrival()
            caller.cancel()
            _ = await caller.result
            await stage.hold.open()
            return try await stage.watchword.token(for: Stage.api)
        }
        #expect(try ScriptedWorld.name(of: token) == "t0")
    }

    @Test func nothingKeepsTheClientOnceItsWorkIsDone() async throws {
        weak var watchword: Watchword?
        weak var attempts: Attempts?
        do {
            let stage = try Stage()
            try await stage.during(Stage.enrolment(isHeld: true)) {
                let caller = Task { try await stage.watchword.token(for: Stage.api) }
                await stage.hold.arrival()
                caller.cancel()
                _ = await caller.result
                await stage.hold.open()
                try await stage.watchword.ready()
            }
            let next = try #require(try await stage.watchword.attempts(AppRequest(method: "GET", url: "\(Stage.api)/x")))
            try await next.prepare()
            (watchword, attempts) = (stage.watchword, next)
            stage.run.close()
        }
        for _ in 0..<1_000_000 where watchword != nil || attempts != nil { await Task.yield() }
        #expect(watchword == nil)
        #expect(attempts == nil)
    }
}

/// Cancellation at each point where a request waits: nothing of it is sent any more, and the next request works.
@Suite struct CancellationTests {
    @Test(arguments: [false, true])
    func whilePreparing(sendUnproved: Bool) async throws {
        let stage = try Stage(sendUnproved: sendUnproved)
        try await stage.during(Stage.enrolment(isHeld: true) + [Stage.call()]) {
            let caller = Task { try await stage.request("POST") }
            await stage.hold.arrival()
            caller.cancel()
            #expect(await isCancelled(caller))
            await stage.hold.open()
            try await requireService(stage)
        }
    }

    @Test func aCancelledPreparationIsNone() async throws {
        let stage = try Stage(sendUnproved: true)
        try await stage.during(Stage.enrolment(isHeld: true)) {
            let attempts = try await stage.watchword.attempts(AppRequest(method: "GET", url: "\(Stage.api)/x"))
            let caller = Task { try await attempts?.prepare() }
            await stage.hold.arrival()
            caller.cancel()
            #expect(await isCancelled(caller))
            await stage.hold.open()
            try await stage.watchword.ready()
        }
    }

    @Test(arguments: [false, true])
    func whileTheDeviceSigns(sendUnproved: Bool) async throws {
        let stage = try Stage(proof: .device, sendUnproved: sendUnproved)
        try await stage.enrol()
        stage.phone.script(["sign": ["waits"]])
        try await stage.during([Stage.call(proof: "device")]) {
            let caller = Task { try await stage.request("POST") }
            await stage.hold.arrival()
            caller.cancel()
            await stage.hold.open()
            #expect(await isCancelled(caller))
            try await requireService(stage)
        }
    }

    @Test(arguments: [false, true])
    func whileLostKeysAreReplaced(sendUnproved: Bool) async throws {
        let stage = try Stage(proof: .device, sendUnproved: sendUnproved)
        try await stage.enrol()
        stage.phone.lose()
        try await stage.during(Stage.enrolment("t1", isHeld: true) + [Stage.call(token: "t1", proof: "device")]) {
            let caller = Task { try await stage.request("POST") }
            await stage.hold.arrival()
            caller.cancel()
            #expect(await isCancelled(caller))
            await stage.hold.open()
            try await requireService(stage)
        }
    }

    @Test(arguments: ["GET", "POST"])
    func whileAnAnswerIsAwaited(method: String) async throws {
        let stage = try Stage()
        try await stage.enrol()
        // The connection breaks since its task is cancelled: no method is repeated, and nothing is said of an outcome.
        try await stage.during([Stage.call(method, answer: ["fails": "lost"], isHeld: true), Stage.call()]) {
            let caller = Task { try await stage.request(method) }
            await stage.hold.arrival()
            caller.cancel()
            await stage.hold.open()
            let result = await caller.result
            #expect(throws: URLError.self) { try result.get() }
            try await requireService(stage)
        }
    }

    @Test(arguments: [false, true])
    func whileARefusedTokenIsReplaced(sendUnproved: Bool) async throws {
        let stage = try Stage(sendUnproved: sendUnproved)
        try await stage.enrol()
        let refused = Stage.call(answer: Stage.refusal("token-refused"))
        try await stage.during([refused] + Stage.renewal(isHeld: true) + [Stage.call(token: "t1")]) {
            let caller = Task { try await stage.request() }
            await stage.hold.arrival()
            caller.cancel()
            #expect(await isCancelled(caller))
            await stage.hold.open()
            // Waits for the renewal that is under way, or takes what it brought; the old token may be in use until then.
            while try await ScriptedWorld.name(of: stage.watchword.token(for: Stage.api)) == "t0" { await Task.yield() }
            try await requireService(stage)
        }
    }

    @Test func whileARefusalIsRead() async throws {
        let stage = try Stage()
        try await stage.enrol()
        let attempts = try #require(try await stage.watchword.attempts(AppRequest(method: "GET", url: "\(Stage.api)/x")))
        try await attempts.prepare()
        _ = try await attempts.sign(WireRequest(method: "GET", url: "\(Stage.api)/x"))
        await attempts.answered(status: 401) { _ in nil }
        await #expect(throws: CancellationError.self) {
            _ = try await attempts.judge(status: 401, header: { _ in nil }, body: { throw CancellationError() })
        }
        try await stage.during([Stage.call()]) { try await requireService(stage) }
    }

    @Test(arguments: ["GET", "POST", "PUT"])
    func anErrorThatSaysSoIsTheAppsOwn(method: String) async throws {
        let stage = try Stage()
        try await stage.enrol()
        let attempts = try #require(try await stage.watchword.attempts(AppRequest(method: method, url: "\(Stage.api)/x")))
        _ = try await attempts.sign(WireRequest(method: method, url: "\(Stage.api)/x"))
        await #expect(throws: CancellationError.self) { try await attempts.lost(CancellationError()) }
        await #expect(throws: URLError(.cancelled)) { try await attempts.lost(URLError(.cancelled)) }
    }
}

/// Sees that a request passes.
private func requireService(_ stage: Stage) async throws {
    let status = try await stage.request()
    #expect(status == 200)
}

/// Tells whether a caller was told of its cancellation.
private func isCancelled<Success: Sendable>(_ caller: Task<Success, any Error>) async -> Bool {
    if case .failure(is CancellationError) = await caller.result { true } else { false }
}

private func results<Success: Sendable>(_ callers: ArraySlice<Task<Success, any Error>>) async -> [Result<Success, any Error>] {
    var all: [Result<Success, any Error>] = []
    for caller in callers { all.append(await caller.result) }
    return all
}
