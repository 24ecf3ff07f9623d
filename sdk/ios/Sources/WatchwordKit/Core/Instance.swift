import Foundation

/// What is thrown without asking anybody, until a moment in boot time.
struct Hold: Sendable {
    let error: WatchwordError
    let until: Double

    /// Returns what is thrown at `now`, nil once that moment has passed.
    func thrown(at now: Double) -> WatchwordError? {
        guard now < until else { return nil }
        guard case .offline(let offline) = error else { return error }
        return .offline(.init(code: offline.code, offline.message, retryAfter: until - now))
    }
}

/// What an instance knows. Everything here answers at once, on any thread: a request that has a valid token waits for no actor.
final class Memory: Sendable {
    private struct State: Sendable {
        /// Nil until the store was read.
        var remembered: Remembered?
        var hold: Hold?

        /// What tokens are to be bound to, nil for nothing.
        var bound: String?
    }

    /// A failed early renewal is repeated when so much of the token's remaining life has passed.
    private static let postponedShare = 0.2

    /// The longest that nobody is asked after a final refusal, a failure of the device or a `Retry-After`, in seconds.
    static let coolDown = 3600.0

    private let store: any Store
    private let clock: any DeviceClock
    private let state = Locked(State())

    init(store: any Store, clock: any DeviceClock) {
        self.store = store
        self.clock = clock
    }

    /// What tokens are to be bound to, nil for nothing.
    var bound: String? {
        get { state.withLock { $0.bound } }
        set { state.withLock { $0.bound = newValue } }
    }

    /// The level that was attested, nil before the enrolment or before the store was read.
    var level: String? { state.withLock { $0.remembered?.session?.level } }

    /// What is known; the store is read where it wasn't yet.
    var known: Remembered { state.withLock { known(&$0) } }

    /// Returns a token that is valid now, and bound to what it is to be bound to, and whether it is to be renewed while it still
    /// works; nil if there is none.
    func valid(_ audience: String) -> (held: HeldToken, isDue: Bool)? {
        let (now, bootID) = (clock.boot(), clock.bootID)
        return state.withLock { state in
            if state.remembered == nil { _ = known(&state) }
            guard let session = state.remembered?.session, session.bound == state.bound, session.bootID == bootID,
                let held = session.tokens[audience], now < held.expiresAt
            else { return nil }
            let isDue = now >= held.renewAt && Self.holding(state, now, bootID) == nil
            return (held, isDue)
        }
    }

    /// Returns what is known of times and of the service now.
    func reading() -> Reading {
        let (boot, bootID) = (clock.boot(), clock.bootID)
        let known = known
        return Reading(
            boot: boot, wall: clock.wall(), serviceTime: known.aheadBootID == bootID ? known.ahead.map { $0 + boot } : nil,
            speaks: known.speaks)
    }

    /// Throws what must be thrown without asking anybody, and while the store can't be read: an enrolment would take the place of
    /// an instance that is there.
    func requireReadable() throws {
        let isRead = state.withLock { state in
            _ = known(&state)
            return state.remembered != nil
        }
        guard isRead else {
            throw WatchwordError.of(DeviceError(.locked, "what it stores can't be read before it is unlocked"))
        }
    }

    func requireNoHold() throws {
        let (now, bootID) = (clock.boot(), clock.bootID)
        if let error = state.withLock({ state in
            _ = known(&state)
            return Self.holding(state, now, bootID)
        }) {
            throw error
        }
    }

    func hold(_ error: WatchwordError, for seconds: Double) {
        let until = clock.boot() + min(seconds, Self.coolDown)
        state.withLock { $0.hold = Hold(error: error, until: until) }
    }

    func releaseHold() {
        state.withLock { $0.hold = nil }
    }

    /// Takes the service's time.
    func hear(_ now: Int64) {
        let (boot, bootID) = (clock.boot(), clock.bootID)
        change { known in
            known.ahead = Double(now) - boot
            known.aheadBootID = bootID
        }
    }

    /// Takes the newest place in the line of those who enrol, nil for none.
    func take(place: String?) {
        if known.place != place { update { $0.place = place } }
    }

    /// Puts the early renewal of all tokens off.
    func postpone() {
        let now = clock.boot()
        change { known in
            let tokens = known.session?.tokens ?? [:]
            known.session?.tokens = tokens.mapValues { $0.renewed(at: now + ($0.expiresAt - now) * Self.postponedShare) }
        }
    }

    /// Changes what is known, in memory alone.
    func change(_ body: (inout Remembered) -> Void) {
        state.withLock { state in
            var known = known(&state)
            body(&known)
            state.remembered = known
        }
    }

    /// Changes what is known, and stores it.
    func update(_ body: (inout Remembered) -> Void) {
        change(body)
        write(known)
    }

    /// Stores a document in place of what is known, which stays as it is.
    func write(_ document: Remembered) {
        // If that fails the next start of the app renews or enrols; this one goes on.
        try? store.write(document.written())
    }

    private func known(_ state: inout State) -> Remembered {
        if let remembered = state.remembered { return remembered }
        state.remembered = read()
        return state.remembered ?? Remembered()
    }

    /// Returns what is stored, nothing where that can't be read; nil where it can't be read yet.
    private func read() -> Remembered? {
        do {
            return try store.read().map(Remembered.read) ?? Remembered()
        } catch let error as DeviceError where error.kind == .locked {
            return nil
        } catch {
            return Remembered()
        }
    }

    private static func holding(_ state: State, _ now: Double, _ bootID: String) -> WatchwordError? {
        if let error = state.hold?.thrown(at: now) { return error }
        guard let refusal = state.remembered?.refusal else { return nil }
        let left = refusal.until - now
        // However it was written: nothing locks a phone out for longer.
        guard refusal.bootID == bootID, left > 0, left <= coolDown else { return nil }
        return .refused(.init(type: refusal.type, status: refusal.status, title: refusal.title, ref: refusal.ref))
    }
}

/// One instance of the app: enrols, renews, and remembers what the service and the device said.
///
/// What asks the service or the device for tokens waits for its turn: one after the other, since App Attest counts what a key
/// signs, and since two renewals are one too many. That is more than the actor gives, which lets others in at every `await`.
actor Instance {
    private static let renewFrom = 0.6
    private static let renewSpan = 0.2
    private static let busyPause = 5.0
    /// Within so many seconds a token is replaced that was refused before its end.
    private static let cutSpan = 5.0
    private static let maxDoublings = 10
    private static let maxSealed = 256
    private static let numbers: Range<Int64> = 1..<(1 << 53)
    private static let keepingKeys: Set<DeviceError.Kind> = [.transient, .locked, .offline]

    nonisolated let memory: Memory
    private let configuration: Watchword.Configuration
    private let ports: Ports
    private let exchange: Exchange
    private let refusals: Refusals
    private let audiences: [String]

    private var isTurnTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// How often in a row the device was too busy.
    private var busy = 0

    init(_ configuration: Watchword.Configuration, _ ports: Ports) {
        let memory = Memory(store: ports.store, clock: ports.clock)
        self.memory = memory
        self.configuration = configuration
        self.ports = ports
        exchange = Exchange(service: configuration.service, ports: ports) { memory.hear($0) }
        refusals = Refusals(exchange: exchange, issuer: configuration.issuer, app: configuration.app)
        audiences = configuration.apis.map(\.audience)
    }

    /// Gets new tokens, by a renewal or an enrolment.
    ///
    /// - Parameters:
    ///   - lost: a token whose key is gone: the instance is forgotten if it still holds that.
    ///   - refused: a token that a gate turned down: before its end, a whole fleet may be told that at once.
    ///   - isNeeded: asked when the turn has come: another caller may have been quicker.
    func refresh(lost: String? = nil, refused: String? = nil, isNeeded: @Sendable () -> Bool) async throws {
        await takeTurn()
        defer { passTurn() }
        guard isNeeded() else { return }
        try memory.requireReadable()
        try memory.requireNoHold()
        if let lost, memory.known.session?.tokens.values.contains(where: { $0.token == lost }) == true {
            memory.update { $0.session = nil }
        }
        if let refused, audiences.contains(where: { memory.valid($0)?.held.token == refused }) {
            try await ports.pause(ports.jitter() * Self.cutSpan)
        }
        try await remembering(isEarly: false) { try await refreshOnce(attempts: Exchange.maxAttempts, isEarly: false) }
    }

    /// Tries once to renew while a token is valid; puts it off where that fails.
    func refreshEarly(_ audience: String) async throws {
        await takeTurn()
        defer { passTurn() }
        guard memory.valid(audience)?.isDue == true else { return }
        do {
            try await remembering(isEarly: true) { try await refreshOnce(attempts: 1, isEarly: true) }
        } catch is WatchwordError {
            memory.postpone()
        }
    }

    /// Enrols a new instance whatever was refused before.
    func enrol() async throws {
        await takeTurn()
        defer { passTurn() }
        try memory.requireReadable()
        memory.releaseHold()
        memory.update { $0.refusal = nil }
        try await remembering(isEarly: false) { try await enrolMending() }
    }

    /// Returns a secret that the service hands to this instance for a while.
    ///
    /// Enrols where there is no instance yet, or where the service doesn't know it any more, once.
    func fetchSecret(_ name: String, attempts: Int) async throws -> Delivery {
        await takeTurn()
        defer { passTurn() }
        try memory.requireReadable()
        try memory.requireNoHold()
        if memory.known.session == nil { try await remembering(isEarly: false) { try await enrolMending() } }
        // A device that fails here says nothing of the tokens, which it isn't held back for.
        return try await remembering(isEarly: true) { try await askSecretMending(name, attempts) }
    }

    /// Returns ECDSA over `message` by the proof key, DER; a busy device is asked again. Needs no turn.
    nonisolated func sign(_ message: Data) async throws -> Data {
        try await asked(Exchange.maxAttempts) { try await $0.sign(message) }
    }

    private func takeTurn() async {
        guard isTurnTaken else {
            isTurnTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Hands the turn to who has waited longest: it is never free in between, so that nobody overtakes.
    private func passTurn() {
        if waiting.isEmpty {
            isTurnTaken = false
        } else {
            waiting.removeFirst().resume()
        }
    }
}

// What follows has the turn.
extension Instance {
    private func refreshOnce(attempts: Int, isEarly: Bool) async throws {
        guard let session = memory.known.session else { return try await enrolMending() }
        do {
            try await renew(session, attempts)
        } catch WatchwordError.refused(let refusal) where refusal.type == "instance-unknown" {
            try await enrolMending()
        } catch let error as DeviceError where !isEarly && isMendable(error) {
            try await mend(error)
        }
    }

    private func enrolMending() async throws {
        do {
            try await enrolTwice()
        } catch let error as DeviceError where isMendable(error) {
            try await mend(error)
        }
    }

    /// Tells whether new keys may help.
    private func isMendable(_ error: DeviceError) -> Bool {
        error.kind == .keyLost || error.kind == .fault
    }

    private func mend(_ error: DeviceError) async throws {
        if error.kind == .fault { try await ports.pause(exchange.pause(after: 0)) }
        try await enrolTwice()
    }

    /// Enrols; a refused challenge (it may have expired while the vendor was slow) is replaced once.
    private func enrolTwice() async throws {
        do {
            try await enrolOnce()
        } catch WatchwordError.refused(let refusal) where refusal.type == "challenge-refused" {
            try await enrolAgain()
        }
    }

    /// Enrols a second time; if that challenge is refused too, others used up what the place was good for.
    private func enrolAgain() async throws {
        do {
            try await enrolOnce()
        } catch WatchwordError.refused(let refusal) where refusal.type == "challenge-refused" {
            memory.take(place: nil)
            throw WatchwordError.refused(refusal)
        }
    }

    private func enrolOnce() async throws {
        let challenge = try await enrolmentChallenge()
        let bound = memory.bound
        let isSecondTry = memory.known.hasUnusedKeys
        if !isSecondTry { try await createKeys() }
        let asksDevice = !ports.device.canOpen
        let statement: Statement
        let evidence: Evidence
        do {
            let made = try await self.statement(.enrol, challenge, bound: bound, asksDevice: asksDevice)
            evidence = try await asked(Exchange.maxAttempts) { try await $0.attest(binding: made.binding) }
            statement = made
        } catch let error as DeviceError {
            memory.update { $0.hasUnusedKeys = Self.keepingKeys.contains(error.kind) }
            throw error
        }
        // Before anything is sent, since a key makes evidence once; what is stored says so already unless an earlier try was kept.
        memory.change { $0.hasUnusedKeys = false }
        if isSecondTry { memory.write(memory.known) }
        let body: JSONObject = ["statement": .text(Base64URL.encode(statement.bytes)), "evidence": evidence.written()]
        try await accept("/v1/attestations", statement, body, Exchange.maxAttempts, bound, asksDevice)
    }

    private func createKeys() async throws {
        // Stored first: if the process ends here, nothing of the old instance is left whose keys are gone.
        var without = memory.known
        without.session = nil
        without.hasUnusedKeys = false
        memory.write(without)
        do {
            try await asked(Exchange.maxAttempts) { try await $0.createKeys() }
        } catch let error as DeviceError {
            memory.write(memory.known)
            throw error
        }
        memory.change { known in
            known.session = nil
            known.hasUnusedKeys = true
        }
    }

    private func renew(_ session: Session, _ attempts: Int) async throws {
        let isOfThisBoot = session.bootID == ports.clock.bootID
        guard let next = session.next, memory.known.speaks, isOfThisBoot, ports.clock.boot() < next.expiresAt else {
            return try await renewTwice(session, attempts)
        }
        do {
            try await renewOnce(session, next.challenge, attempts, ticket: next.ticket)
        } catch WatchwordError.refused(let refusal) where !refusal.isFinal && refusal.type != "instance-unknown" {
            // Also a service that was rolled back, and doesn't know what is in the statement, is asked anew.
            memory.update { $0.session?.next = nil }
            try await renewOnce(session, try await challenge(.renew, attempts), attempts)
        }
    }

    private func renewTwice(_ session: Session, _ attempts: Int) async throws {
        do {
            try await renewOnce(session, try await challenge(.renew, attempts), attempts)
        } catch WatchwordError.refused(let refusal) where refusal.type == "challenge-refused" {
            try await renewOnce(session, try await challenge(.renew, attempts), attempts)
        }
    }

    private func renewOnce(_ session: Session, _ challenge: String, _ attempts: Int, ticket: String? = nil) async throws {
        let bound = memory.bound
        let asksDevice = session.asksDevice || !ports.device.canOpen
        let statement = try await statement(.renew, challenge, bound: bound, asksDevice: asksDevice)
        let evidence = try await asked(attempts) { try await $0.renew(statement: statement.bytes) }
        var body: JSONObject = [
            "statement": .text(Base64URL.encode(statement.bytes)),
            "instance": .text(session.instance),
            "evidence": evidence.written(),
        ]
        if let ticket { body["ticket"] = .text(ticket) }
        try await accept("/v1/tokens", statement, body, attempts, bound, asksDevice)
    }

    private func askSecretMending(_ name: String, _ attempts: Int) async throws -> Delivery {
        do {
            return try await askSecret(name, attempts)
        } catch WatchwordError.refused(let refusal) where refusal.type == "instance-unknown" {
            try await enrolMending()
        } catch let error as DeviceError where error.kind == .keyLost {
            try await enrolTwice()
        }
        return try await askSecret(name, attempts)
    }

    private func askSecret(_ name: String, _ attempts: Int) async throws -> Delivery {
        do {
            return try await askSecretOnce(name, attempts)
        } catch WatchwordError.refused(let refusal) where refusal.type == "challenge-refused" {
            return try await askSecretOnce(name, attempts)
        }
    }

    private func askSecretOnce(_ name: String, _ attempts: Int) async throws -> Delivery {
        // An enrolment leaves a session; were there none, the service would say that it doesn't know it.
        let instance = memory.known.session?.instance ?? ""
        let statement = try await statement(.secret, try await challenge(.secret, attempts), secret: name)
        let evidence = try await asked(attempts) { try await $0.renew(statement: statement.bytes) }
        let body: JSONObject = [
            "instance": .text(instance),
            "statement": .text(Base64URL.encode(statement.bytes)),
            "evidence": evidence.written(),
        ]
        let sentAt = ports.clock.boot()
        let answer = try await post("/v1/secrets", statement, body, attempts)
        return try await Delivery.read(answer, statement: statement, sentAt: sentAt, app: configuration.app, name: name, share: share()) {
            try await self.opened(attempts, info: $0, sealed: $1)
        }
    }

    /// Returns a challenge to enrol with, asked for with the place in the line that there is.
    private func enrolmentChallenge() async throws -> String {
        let memory = memory
        let hear: @Sendable (String) -> Void = { memory.take(place: $0) }
        let place = memory.known.place
        do {
            return try await challenge(.enrol, Exchange.maxAttempts, place: place, hearPlace: hear)
        } catch WatchwordError.refused where place != nil {
            // A service that was rolled back doesn't know places.
            memory.take(place: nil)
            return try await challenge(.enrol, Exchange.maxAttempts, hearPlace: hear)
        }
    }

    private func challenge(
        _ purpose: Purpose, _ attempts: Int, place: String? = nil, hearPlace: (@Sendable (String) -> Void)? = nil
    ) async throws -> String {
        var body: JSONObject = ["app": .text(configuration.app), "purpose": .text(purpose.rawValue)]
        if let place { body["place"] = .text(place) }
        let answer = try await exchange.post("/v1/challenges", body, attempts: attempts, hearPlace: hearPlace)
        let speaks = answer["protocol"]?.text.map(Self.speaks) ?? false
        if speaks != memory.known.speaks { memory.update { $0.speaks = speaks } }
        guard let challenge = answer["challenge"]?.text, !challenge.isEmpty else {
            throw WatchwordError.unreadable("a challenge is missing")
        }
        return challenge
    }

    /// Tells whether a version is 1.1 or a later 1.x.
    private static func speaks(_ version: String) -> Bool {
        let digits = version.utf8.dropFirst(2)
        return version.utf8.starts(with: "1.".utf8) && (1...4).contains(digits.count) && digits.first != UInt8(ascii: "0")
            && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private func statement(
        _ purpose: Purpose, _ challenge: String, bound: String? = nil, asksDevice: Bool = false, secret: String? = nil
    ) async throws -> Statement {
        Statement(
            purpose, issuer: configuration.issuer, audiences: audiences, app: configuration.app, challenge: challenge,
            proofKey: try await asked(1) { try await $0.proofKey() }, sealKey: try await asked(1) { try await $0.sealKey() },
            bound: bound, isProvenByDevice: asksDevice && memory.known.speaks, secret: secret)
    }

    /// Sends evidence and keeps the tokens of the answer.
    private func accept(
        _ path: String, _ statement: Statement, _ body: JSONObject, _ attempts: Int, _ bound: String?, _ asksDevice: Bool
    ) async throws {
        // Counted from here: a phone may sleep in the middle, and the answer may be hours late.
        let sentAt = ports.clock.boot()
        let answer = try await post(path, statement, body, attempts)
        let session: Session
        do {
            session = try await self.session(answer, statement, sentAt, attempts, bound, asksDevice)
        } catch is MalformedError {
            throw WatchwordError.unreadable("an instance, a level, or a token with its keys for each API is missing")
        }
        busy = 0
        memory.releaseHold()
        memory.update { known in
            known.session = session
            known.refusal = nil
            known.place = nil
        }
        // It only says when to look: whatever else stands there isn't worth losing tokens for.
        if let version = answer["pins"]?.integer, Self.numbers.contains(version) { ports.hearPins(version) }
    }

    /// Returns the session of an answer.
    private func session(
        _ answer: JSONObject, _ statement: Statement, _ sentAt: Double, _ attempts: Int, _ bound: String?, _ asksDevice: Bool
    ) async throws -> Session {
        let given = (answer["tokens"]?.list ?? []).compactMap(\.object)
        let share = share()
        var (opened, unopened) = (false, false)
        var tokens: [String: HeldToken] = [:]
        for audience in audiences {
            guard let each = given.last(where: { $0["aud"] == .text(audience) }) else {
                throw MalformedError(message: "expected a token for each API")
            }
            let (token, life) = (try each.text("token"), try each.seconds("expires_in"))
            // It becomes a header's value: with a line's end in it, it would be two headers.
            guard token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw MalformedError(message: "expected a token of visible characters")
            }
            let own = OwnToken.read(token)
            var key: Data?
            if let sealed = each["session_key"], sealed != .null {
                let bytes = try Base64URL.decode(try each.text("session_key"), limit: Self.maxSealed)
                key = try await sessionKey(attempts, statement, own, bytes)
                if key == nil { unopened = true } else { opened = true }
            }
            tokens[audience] = HeldToken(
                token: token, expiresAt: sentAt + life, renewAt: sentAt + life * share, sessionKey: key, own: own)
        }
        var next: NextChallenge?
        if let challenge = answer["next"]?.object?["challenge"]?.text, !challenge.isEmpty,
            let life = answer["next"]?.object?["expires_in"]?.seconds, life > 0
        {
            let ticket = NextChallenge.ticket(answer["next"]?.object?["ticket"])
            next = NextChallenge(challenge: challenge, expiresAt: sentAt + life, ticket: ticket)
        }
        return Session(
            instance: try answer.text("instance"), level: try answer.text("level"), tokens: tokens, bound: bound,
            bootID: ports.clock.bootID, asksDevice: unopened || (asksDevice && !opened), next: next)
    }

    /// Returns a session key; nil where the device can't open it.
    private func sessionKey(_ attempts: Int, _ statement: Statement, _ own: OwnToken?, _ sealed: Data) async throws -> Data? {
        guard let own else { throw MalformedError(message: "got a session key beside a token that names no session") }
        let info = Data("watchword/seal/v1\0".utf8) + statement.binding + lengthPrefixed(Data(own.sessionID.utf8))
        return try await opened(attempts, info: info, sealed: sealed).map(Remembered.sessionKey)
    }

    private nonisolated func opened(_ attempts: Int, info: Data, sealed: Data) async throws -> Data? {
        guard ports.device.canOpen else { return nil }
        do {
            return try await asked(attempts) { try await $0.openSealed(info: info, sealed: sealed) }
        } catch is DeviceError {
            return nil
        }
    }

    /// Posts a statement; remembers a final refusal that the service signed over it beyond the process.
    private func post(_ path: String, _ statement: Statement, _ body: JSONObject, _ attempts: Int) async throws -> JSONObject {
        do {
            return try await exchange.post(path, body, attempts: attempts)
        } catch WatchwordError.refused(let refusal) {
            if refusal.isFinal, let signed = refusal.signed,
                try await refusals.verifies(signed, binding: statement.binding, type: refusal.type)
            {
                let kept = SignedRefusal(
                    type: refusal.type, status: refusal.status, title: refusal.title, ref: refusal.ref,
                    until: ports.clock.boot() + Memory.coolDown, bootID: ports.clock.bootID)
                memory.update { $0.refusal = kept }
            }
            throw WatchwordError.refused(refusal)
        }
    }

    /// Does `work`, and throws what the app is told of its failure; see ``remembered(_:isEarly:)``.
    private func remembering<Result: Sendable>(isEarly: Bool, _ work: () async throws -> Result) async throws -> Result {
        do {
            return try await work()
        } catch {
            throw remembered(error, isEarly: isEarly)
        }
    }

    /// Returns what the app is told of an error; holds back what would only fail again, or what is to wait.
    private func remembered(_ error: any Error, isEarly: Bool) -> any Error {
        switch error {
        case WatchwordError.refused(let refusal):
            if refusal.isFinal { memory.hold(.refused(refusal), for: Memory.coolDown) }
        case WatchwordError.offline(let offline):
            if let pause = offline.retryAfter, pause > Exchange.maxPause { memory.hold(.offline(offline), for: pause) }
        case let error as DeviceError:
            let told = WatchwordError.of(error)
            if !isEarly, let pause = held(for: error) { memory.hold(told, for: pause) }
            return told
        default: break
        }
        return error
    }

    /// Returns for how many seconds the device isn't asked again, nil if it may be at once.
    private func held(for error: DeviceError) -> Double? {
        switch error.kind {
        case .unsupported, .keyLost, .fault: return Memory.coolDown
        case .transient:
            let span = Self.busyPause * Double(1 << min(busy, Self.maxDoublings))
            busy += 1
            return (error.retryAfter ?? 0) + ports.jitter() * min(Memory.coolDown, span)
        case .locked, .offline: return nil
        }
    }

    /// Asks the device, a busy one up to `attempts` times.
    ///
    /// - Throws: ``DeviceError`` for whatever it throws; `CancellationError` as it is.
    private nonisolated func asked<Result: Sendable>(
        _ attempts: Int, _ ask: @Sendable (any Device) async throws -> Result
    ) async throws -> Result {
        var attempt = 0
        while true {
            do {
                return try await ask(ports.device)
            } catch let error as CancellationError {
                throw error
            } catch {
                let failure = error as? DeviceError ?? DeviceError(.fault, "got a \(type(of: error)) of the device")
                attempt += 1
                // A device that names a pause was asked again already.
                guard failure.kind == .transient, attempt < attempts, failure.retryAfter == nil else { throw failure }
                try await ports.pause(exchange.pause(after: attempt - 1))
            }
        }
    }

    /// A token is renewed at a random point of its life, so that phones which enrolled together don't return together.
    private func share() -> Double {
        Self.renewFrom + Self.renewSpan * ports.jitter()
    }
}
