import Foundation
import Testing

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Passes docs/sdk-scenarios.json: what every client does, as the Python client does it.
@Suite struct ScenariosTests {
    /// Scenarios that aren't played, by id, each with its reason.
    static let leftOut: [String: String] = [:]
    static let played = Scenarios.all.filter { leftOut[$0.id] == nil }

    @Test(arguments: played)
    func passes(_ scenario: Scenarios.One) async throws {
        try await Scenario(scenario.script).run()
    }

    @Test func allAreThere() throws {
        // Counted in the file's text: what reads it might lose some.
        let text = try String(contentsOf: Scenarios.file, encoding: .utf8)
        let count = text.components(separatedBy: "\"steps\":").count - 1
        #expect(count >= 208)
        #expect(Set(Scenarios.all.map(\.id)).count == count)
        #expect(Set(Self.leftOut.keys).isSubset(of: Scenarios.all.map(\.id)))
    }
}

/// The scenarios of docs/sdk-scenarios.json.
enum Scenarios {
    struct One: Sendable, CustomTestStringConvertible {
        let id: String
        let script: Script
        var testDescription: String { id }
    }

    static let file = (0..<6).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        .appendingPathComponent("docs/sdk-scenarios.json")
    static let document = (try? Script.read(Data(contentsOf: file))) ?? .null
    static let defaults = document["defaults"] ?? .null
    static let all = (document["scenarios"]?.list ?? []).map { One(id: $0["id"]?.text ?? "", script: $0) }
}

/// One run of the app, from its start to the end of its process: all that one `Watchword` is given.
///
/// Swift catches every error, so none ends a process from within a port. A process that dies is one whose port never answers
/// again: whoever calls one waits until the scenario is over, the store takes nothing any more, and the scenario goes on with
/// another run over the same phone and store. Nothing is left in the end: what waited gets a `CancellationError` then.
final class AppRun: Device, Store, Transport {
    enum Ending: Error {
        case died
        case mismatch(Mismatch)
    }

    private struct State: Sendable {
        var ending: Ending?
        var hearers: [@Sendable (Ending) -> Void] = []
        /// How many wait in `outcome`.
        var awaited = 0
        var isOver = false
        var ghosts: [CheckedContinuation<Void, Never>] = []
    }

    /// Seconds after which a step that doesn't end is given up.
    private static let patience = 120.0

    private let world: ScriptedWorld
    private let phone: SimulatedPhone
    private let store: MemoryStore
    private let state = Locked(State())
    private let stepsMeanwhile: @Sendable ([Script]) async throws -> Void

    init(
        world: ScriptedWorld, phone: SimulatedPhone, store: MemoryStore, meanwhile: @escaping @Sendable ([Script]) async throws -> Void
    ) {
        self.world = world
        self.phone = phone
        self.store = store
        stepsMeanwhile = meanwhile
    }

    /// Returns what `work` returns; throws how the run ended, if it ends before that.
    func outcome<Result: Sendable>(_ work: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let clock = Task {
            try await Task.sleep(nanoseconds: UInt64(Self.patience * 1e9))
            try await end(.mismatch(Mismatch("nothing came within \(Self.patience) s")))
        }
        state.withLock { $0.awaited += 1 }
        defer {
            clock.cancel()
            state.withLock { $0.awaited -= 1 }
        }
        return try await withCheckedThrowingContinuation { continuation in
            let waiting = Locked(Optional(continuation))
            let resume: @Sendable (Swift.Result<Result, any Error>) -> Void = { result in
                waiting.withLock { $0.take() }?.resume(with: result)
            }
            hear { resume(.failure($0)) }
            Task {
                do { resume(.success(try await work())) } catch { resume(.failure(error)) }
            }
        }
    }

    /// Ends the run here: never returns to who called, until the scenario is over.
    func end(_ ending: Ending) async throws -> Never {
        let (hearers, isAwaited) = state.withLock {
            $0.ending = $0.ending ?? ending
            let hearers = $0.hearers
            $0.hearers = []
            return (hearers, $0.awaited > 0)
        }
        if !isAwaited, case .mismatch(let mismatch) = ending {
            // Nobody would ever hear of it.
            Issue.record(mismatch)
            close()
        }
        hearers.forEach { $0(ending) }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock {
                if !$0.isOver { $0.ghosts.append(continuation) }
                return $0.isOver
            }
            if isOver { continuation.resume() }
        }
        throw CancellationError()
    }

    /// Lets whoever waits in a run that ended go.
    func close() {
        let ghosts = state.withLock {
            $0.isOver = true
            $0.ending = $0.ending ?? .died
            let ghosts = $0.ghosts
            $0.ghosts = []
            return ghosts
        }
        ghosts.forEach { $0.resume() }
    }

    func meanwhile(_ steps: [Script]) async throws { try await stepsMeanwhile(steps) }

    /// Waits for ever in a run that ended.
    func requireLife() async throws {
        if let ending = state.withLock({ $0.ending }) { try await end(ending) }
    }

    private func hear(_ hearer: @escaping @Sendable (Ending) -> Void) {
        let ending = state.withLock {
            if $0.ending == nil { $0.hearers.append(hearer) }
            return $0.ending
        }
        if let ending { hearer(ending) }
    }

    private var isAlive: Bool { state.withLock { $0.ending == nil } }

    // MARK: the phone

    var canOpen: Bool { phone.canOpen }

    func proofKey() async throws -> PublicKeyJWK? {
        try await requireLife()
        return try await phone.proofKey()
    }

    func sealKey() async throws -> PublicKeyJWK {
        try await requireLife()
        return try await phone.sealKey()
    }

    func createKeys() async throws {
        try await play("create_keys")
        try await phone.createKeys()
    }

    func attest(binding: Data) async throws -> Evidence {
        try await play("attest")
        return try await phone.attest(binding: binding)
    }

    func renew(statement: Data) async throws -> Evidence {
        try await play("renew")
        return try await phone.renew(statement: statement)
    }

    func sign(_ message: Data) async throws -> Data {
        try await play("sign")
        return try await phone.sign(message)
    }

    func openSealed(info: Data, sealed: Data) async throws -> Data {
        try await play("open_sealed")
        if !phone.canOpen { try await end(.mismatch(Mismatch("asked to open though the phone says that it can't"))) }
        return try await phone.openSealed(info: info, sealed: sealed)
    }

    private func play(_ call: String) async throws {
        try await requireLife()
        let kinds: [String: DeviceError.Kind] = [
            "UNSUPPORTED": .unsupported, "KEY_LOST": .keyLost, "TRANSIENT": .transient, "LOCKED": .locked, "OFFLINE": .offline,
            "FAULT": .fault,
        ]
        // A kind, and the seconds that the vendor asks to wait.
        let end = phone.next(call).components(separatedBy: " ")
        switch end[0] {
        case "OK": return
        case "dies": try await self.end(.died)
        case "waits": try await meanwhile([])
        case let name:
            guard let kind = kinds[name] else { try await self.end(.mismatch(Mismatch("got the end \(name) of a call"))) }
            throw DeviceError(kind, "the script says so", retryAfter: end.dropFirst().first.flatMap(Double.init))
        }
    }

    // MARK: the store

    func read() -> Data? { isAlive ? store.read() : nil }

    func write(_ data: Data) { if isAlive { store.write(data) } }

    func clear() { if isAlive { store.clear() } }

    // MARK: the way to the service

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        try await requireLife()
        let got = Received(method: "POST", url: url, headers: Self.lower(headers), body: body, isStream: false)
        if got.headers["content-type"] != "application/json" { try await end(.mismatch(Mismatch("a POST that isn't JSON"))) }
        return try await serve(got)
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        try await requireLife()
        return try await serve(Received(method: "GET", url: url, headers: Self.lower(headers), body: nil, isStream: false))
    }

    private func serve(_ got: Received) async throws -> Answer {
        let encoding = got.headers["accept-encoding"]
        if encoding != "identity" { try await end(.mismatch(Mismatch("a request that allows compression"))) }
        return try await world.exchange(got, of: self)
    }

    private static func lower(_ headers: [String: String]) -> [String: String] {
        Dictionary(headers.map { ($0.key.lowercased(), $0.value) }) { $1 }
    }
}

/// Plays one scenario.
actor Scenario {
    /// A body that is there, or one whose length isn't known and which can be read once.
    private struct Body {
        let data: Data
        let isStream: Bool

        /// What a proof has to know of it.
        var wire: WireBody {
            if !isStream { return WireBody(data) }
            return WireBody(length: nil, isRepeatable: false) { throw Mismatch("a stream is read once, by the wire") }
        }
    }

    private let script: Script
    private let config: Script
    private let jitter: Double
    private let audience: String
    private let phone: SimulatedPhone
    private let clock: SimulatedClock
    private let world: ScriptedWorld
    private let store = MemoryStore()
    private let waits = Locked<[Double]>([])
    private let calls: Script
    private var saved: Data?
    private var runs: [AppRun] = []
    private var app: (run: AppRun, watchword: Watchword)?

    init(_ script: Script) throws {
        func with(_ name: String) -> Script {
            .object((Scenarios.defaults[name] ?? .null).members.merging(script[name]?.members ?? [:]) { $1 })
        }
        let (config, device, time) = (with("config"), with("device"), with("clock"))
        self.script = script
        self.config = config
        jitter = (script["jitter"] ?? Scenarios.defaults["jitter"])?.number ?? 0
        audience = config["audiences"]?.list.first?.text ?? ""
        calls = device["calls"] ?? .null
        phone = SimulatedPhone(isStated: device["proof_key"]?.text == "stated", canOpen: device["can_open"]?.flag == true)
        clock = SimulatedClock(
            now: try time.number("time"), wallAhead: try time.number("wall_ahead"), boot: try time.number("boot"),
            bootID: try time.text("boot_id"))
        world = ScriptedWorld(config: config, clock: clock, phone: phone)
    }

    func run() async throws {
        phone.script(Self.ends(calls))
        do {
            try await play()
            await close()
        } catch {
            await close()
            throw error
        }
    }

    /// Lets go of whatever still waits, so that nothing outlives the scenario.
    private func close() async {
        runs.forEach { $0.close() }
        await world.close()
    }

    private func play() async throws {
        app = try start()
        for (index, step) in (script["steps"]?.list ?? []).enumerated() {
            do {
                try await play(step)
            } catch let mismatch as Mismatch {
                throw Mismatch("step \(index + 1) (\(step["call"]?.text ?? "")): \(mismatch)")
            }
        }
        guard let watchword = app?.watchword else { return }
        try await requireSilence("\(watchword) \(String(reflecting: watchword)) \(dumped(watchword))")
    }

    private func play(_ step: Script) async throws {
        await world.begin(step["exchanges"]?.list ?? [])
        waits.withLock { $0 = [] }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<(step["callers"]?.whole ?? 1) { group.addTask { try await self.judge(step) } }
            try await group.waitForAll()
        }
        try await world.end()
        let (got, wanted) = (waits.withLock { $0 }, (step["waits"]?.list ?? []).compactMap(\.number))
        if got.count != wanted.count || zip(got, wanted).contains(where: { abs($0 - $1) > 1e-9 }) {
            throw Mismatch("got the waits \(got), expected \(wanted)")
        }
    }

    /// Makes the call of a step and compares its result or error.
    private func judge(_ step: Script) async throws {
        if try arrange(step) { return }
        guard let app else { throw Mismatch("there is no app") }
        let got: [String: Script]
        do {
            got = try await app.run.outcome { try await self.call(step, app.run, app.watchword) }
        } catch let error as WatchwordError {
            try same("error", step["error"]?.text, error.code)
            if let ref = step["ref"]?.text, case .refused(let refused) = error { try same("ref", ref, refused.ref) }
            if let pause = step["retry_after"]?.number { try same("retry_after", pause, error.retryAfter) }
            return try await requireSilence("\(error) \(String(reflecting: error)) \(dumped(error))")
        } catch let error as URLError {
            try same("error", step["error"]?.text, error.code == .timedOut ? "timeout" : "connection")
            return
        } catch AppRun.Ending.died {
            return try same("died", true, step["died"]?.flag)
        } catch AppRun.Ending.mismatch(let mismatch) {
            throw mismatch
        }
        if step["error"] != nil || step["died"] != nil { throw Mismatch("got \(got), expected an error") }
        for (name, value) in step["result"]?.members ?? [:] { try same(name, value, got[name]) }
    }

    /// Sees that nothing of a token, a key or a secret is shown.
    private func requireSilence(_ shown: String) async throws {
        for secret in await world.secrets where shown.contains(secret) { throw Mismatch("a description shows a secret") }
    }

    /// Changes what is around the client; tells whether the step is such a one.
    private func arrange(_ step: Script) throws -> Bool {
        switch try step.text("call") {
        case "advance": clock.advance(try step.number("seconds"))
        case "clock": clock.set(wallAhead: try step.number("wall_ahead"))
        case "device": phone.script(Self.ends(step["calls"] ?? .null))
        case "save": saved = store.read()
        case "restart": try restart(step)
        default: return false
        }
        return true
    }

    private func call(_ step: Script, _ run: AppRun, _ watchword: Watchword) async throws -> [String: Script] {
        switch try step.text("call") {
        case "enrol": try await watchword.enrol()
        case "renew": try await watchword.renew()
        case "token": return ["token": .text(try ScriptedWorld.name(of: await watchword.token(for: audience)))]
        case "request": return ["status": .whole(try await request(step, run, watchword))]
        case "bind": watchword.bind(step["value"]?.text)
        case "secret":
            let secret = try await watchword.secret(step.text("name"))
            return ["value": .text(secret.use { String(decoding: $0, as: UTF8.self) })]
        case let call: throw Mismatch("got the call \(call), which this runner doesn't know")
        }
        return [:]
    }

    private func restart(_ step: Script) throws {
        switch step["storage"]?.text {
        case "wiped": store.clear()
        case "restored": if let saved { store.write(saved) } else { store.clear() }
        case "garbled": store.write(Data([1, 2, 3]))
        default: break
        }
        if step["boot_id"] != nil { clock.start(at: try step.number("boot"), try step.text("boot_id")) }
        if step["keys"]?.text == "lost" { phone.lose() }
        app = try start()
    }

    private func start() throws -> (AppRun, Watchword) {
        guard let proof = ProofKind(rawValue: try config.text("proof")) else { throw Mismatch("got another proof in \(config)") }
        let apis = (config["audiences"]?.list ?? []).compactMap(\.text).map { audience in
            Watchword.API(
                audience: audience, proofs: Proofs(otherwise: proof), dpop: config["dpop"]?.flag == true,
                sendUnproved: config["or_without"]?.flag == true)
        }
        let configuration = Watchword.Configuration(
            service: try config.text("service"), app: try config.text("app"), apis: apis, issuer: try config.text("issuer"), wait: 600)
        let run = AppRun(world: world, phone: phone, store: store) { steps in
            for step in steps { try await self.judge(step) }
        }
        runs.append(run)
        let (waits, clock, jitter) = (waits, clock, jitter)
        let sleep: @Sendable (Double) async throws -> Void = { seconds in
            try await run.requireLife()
            waits.withLock { $0.append(seconds) }
            clock.advance(seconds)
        }
        var ports = Ports(device: run, store: run, clock: clock, transport: run, sleep: sleep, jitter: { jitter })
        // Begun before the request that it is begun by goes on, so that each step's requests come in one order.
        ports.early = { await $0() }
        return (run, try Watchword(configuration, ports: ports))
    }

    private static func ends(_ calls: Script) -> [String: [String]] {
        calls.members.mapValues { $0.list.compactMap(\.text) }
    }
}

// MARK: - Requests

extension Scenario {
    /// Sends a request by a library that does what `Attempts` asks of an adapter.
    private func request(_ step: Script, _ run: AppRun, _ watchword: Watchword) async throws -> Int {
        let (method, url) = (try step.text("method"), audience + (try step.text("path")))
        let headers = (step["headers"]?.members ?? [:]).compactMapValues(\.text)
        var body: Body?
        if let text = step["body"]?.text { body = Body(data: Data(text.utf8), isStream: false) }
        if let text = step["stream"]?.text { body = Body(data: Data(text.utf8), isStream: true) }
        if let size = step["stream_size"]?.whole { body = Body(data: Data(count: size), isStream: true) }
        let call = AppRequest(method: method, url: url, idempotencyKey: headers["Idempotency-Key"], body: body?.wire)
        guard let attempts = try await watchword.attempts(call) else { throw Mismatch("got no attempts at the API") }
        if await attempts.wantsLength {
            body = try kept(body, attempts)
            await attempts.lengthGiven()
        }
        try await attempts.prepare()
        while true {
            let answer: Answer
            do {
                let own = Received(method: method, url: url, headers: headers, body: nil, isStream: false)
                answer = try await library(attempts, own, body, run)
            } catch {
                try await attempts.lost(error, isBeforeSending: Attempts.isBeforeSending(error))
                continue
            }
            switch try await attempts.judge(
                status: answer.status, header: { answer.headers[$0.lowercased()] }, body: { answer.body })
            {
            case .deliver: return answer.status
            case .repeat: break
            case .repeatWithLength: body = try kept(body, attempts)
            }
        }
    }

    /// Returns a stream's body with its length.
    private func kept(_ body: Body?, _ attempts: Attempts) throws -> Body? {
        guard let body, body.data.count <= Attempts.maxKeptBytes else { throw attempts.lengthMissing() }
        return Body(data: body.data, isStream: false)
    }

    /// Sends one request, and follows redirects where the scenario's library does.
    private func library(_ attempts: Attempts, _ app: Received, _ body: Body?, _ run: AppRun) async throws -> Answer {
        var url = app.url
        while true {
            let wire = try await attempts.sign(WireRequest(method: app.method, url: url, body: body?.wire))
            let removed = Set(wire.remove.map { $0.lowercased() })
            var headers = Dictionary(app.headers.map { ($0.key.lowercased(), $0.value) }) { $1 }.filter { !removed.contains($0.key) }
            for (name, value) in wire.set { headers[name.lowercased()] = value }
            try await run.requireLife()
            let sent = Received(method: app.method, url: url, headers: headers, body: body?.data, isStream: body?.isStream == true)
            let answer = try await world.exchange(sent, of: run)
            await attempts.answered(status: answer.status) { answer.headers[$0.lowercased()] }
            guard config["redirects"]?.flag == true, let location = answer.headers["location"] else { return answer }
            url = location.hasPrefix("/") ? audience + location : location
        }
    }
}

/// Returns all that reflection shows.
private func dumped(_ value: Any) -> String {
    var shown = ""
    dump(value, to: &shown)
    return shown
}

extension Optional {
    /// Returns what is there and leaves nothing.
    fileprivate mutating func take() -> Wrapped? {
        defer { self = nil }
        return self
    }
}
