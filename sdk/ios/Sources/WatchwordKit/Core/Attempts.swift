import Foundation

/// A request's body, as far as a proof has to know it.
public struct WireBody: Sendable {
    /// In bytes, nil where it isn't known (`Transfer-Encoding: chunked`).
    public let length: Int64?
    /// Whether the body can be sent, and ``digest`` be called, more than once.
    public let isRepeatable: Bool
    /// Returns the SHA-256 of the bytes as they go over the wire; called only where the body is repeatable.
    public let digest: @Sendable () async throws -> Data

    /// Describes a body that the adapter reads itself, a file for example.
    public init(length: Int64?, isRepeatable: Bool, digest: @escaping @Sendable () async throws -> Data) {
        self.length = length
        self.isRepeatable = isRepeatable
        self.digest = digest
    }

    /// Describes a body that is in memory.
    public init(_ data: Data) {
        self.init(length: Int64(data.count), isRepeatable: true) { sha256(data) }
    }
}

/// A request of the app, before anything of it is sent.
public struct AppRequest: Sendable {
    /// In upper case.
    public let method: String
    /// Absolute.
    public let url: String
    /// The value of the header `Idempotency-Key`, nil where there is none.
    public let idempotencyKey: String?
    /// Nil where there is none.
    public let body: WireBody?

    /// Describes a request.
    public init(method: String, url: String, idempotencyKey: String? = nil, body: WireBody? = nil) {
        self.method = method
        self.url = url
        self.idempotencyKey = idempotencyKey
        self.body = body
    }
}

/// One attempt on the wire, exactly as it is sent.
public struct WireRequest: Sendable {
    /// In upper case.
    public let method: String
    /// Absolute; path and query are the bytes of the request line.
    public let url: String
    /// The header `Host`; nil for what the URL says, its port left out where it is the scheme's own.
    public let host: String?
    /// The app's own header `Content-Digest`, which counts where the body isn't repeatable.
    public let contentDigest: String?
    /// Nil where there is none.
    public let body: WireBody?

    /// Describes an attempt.
    public init(method: String, url: String, host: String? = nil, contentDigest: String? = nil, body: WireBody? = nil) {
        self.method = method
        self.url = url
        self.host = host
        self.contentDigest = contentDigest
        self.body = body
    }
}

/// What to do to the headers of one attempt: first remove, then set. No description shows the values.
public struct WireHeaders: Sendable {
    /// Names, in any case.
    public let remove: Set<String>
    /// Values by name.
    public let set: [String: String]
}

extension WireHeaders: Redacted {
    /// The names alone.
    public var description: String { "WireHeaders(set: \(set.keys.sorted()))" }
}

/// What is to be done with an answer.
public enum Verdict: Sendable {
    /// Hand it to the app.
    case deliver
    /// Close it and send the request again.
    case `repeat`
    /// Close it and send the request again with its body's length; see ``Attempts/lengthMissing()``.
    case repeatWithLength
}

/// Carries one request of the app through its attempts: a proof for each, and what to do about a refusal or a lost answer.
///
/// For adapters of HTTP libraries. Above the library's own retries and redirects:
///
/// ```swift
/// guard let attempts = try await watchword.attempts(AppRequest(…)) else { return try await library.send(request) }
/// if await attempts.wantsLength {
///     // Read the body whole, at most `Attempts.maxKeptBytes`, or throw `attempts.lengthMissing()`.
///     await attempts.lengthGiven()
/// }
/// try await attempts.prepare()
/// while true {
///     let answer: Answer
///     do { answer = try await library.send(request) } catch { try await attempts.lost(error); continue }
///     switch try await attempts.judge(status: answer.status, header: answer.header, body: { the first 64 KiB }) { … }
/// }
/// ```
///
/// Below them, for each attempt on the wire:
///
/// ```swift
/// let headers = try await attempts.sign(WireRequest(…))  // throws where a library mustn't repeat
/// let answer = try await wire.send(request, with: headers)
/// await attempts.answered(status: answer.status, header: answer.header)
/// ```
///
/// What is done before a refused request is sent again, each at most once, and twice in all:
///
/// | the gate answers | what is done |
/// | --- | --- |
/// | `token-refused` | another token |
/// | `proof-nonce` | the gate's nonce is taken from the answer |
/// | `proof-refused`, and the clocks differ | the gate's time counts for its API from then on |
/// | `proof-required`, `proof-refused` | another token if there is one by now; else another proof |
///
/// `proof-used` and a lost answer mean that the outcome is unknown: the API may have carried the request out. Only what is
/// idempotent by its method (RFC 9110 section 9.2.2) or by an `Idempotency-Key` is sent again, twice at most.
///
/// One task at a time. Where that task is cancelled the method throws `CancellationError`, and nothing of the request is sent
/// any more; other requests don't notice.
public actor Attempts {
    /// Most bytes of a stream that are kept, so that it can be sent with its length: 1 MiB.
    public static let maxKeptBytes = 1024 * 1024
    /// Most bytes of an answer that ``judge(status:header:body:)`` reads: 64 KiB.
    public static let maxAnswerBytes = 64 * 1024

    private let watchword: Watchword
    private let api: Watchword.API
    private let memory: GateMemory
    private let origin: Origin
    private let request: AppRequest

    private var wanted: ProofKind
    private var isRepeatable: Bool
    private var isLengthUnknown: Bool
    private var left = maxRepetitions
    private var unknownLeft = maxUnknown
    private var done: Set<Remedy> = []
    private var tried: Set<ProofKind> = []
    private var held: HeldToken?
    /// Why the request goes without a token, nil where it doesn't.
    private var without: WatchwordError?
    /// What the present attempt reckoned with: the gate's time less the boot clock.
    private var reckoned = 0.0
    /// Whether something of the request went out since the last answer.
    private var isSent = false
    /// Whether the request may have been carried out, and no answer tells.
    private var isUnknown = false
    /// Whether a redirect led to another origin, or anywhere.
    private var isAway = false
    private var isRedirected = false

    init(_ watchword: Watchword, api: Watchword.API, memory: GateMemory, origin: Origin, request: AppRequest) {
        self.watchword = watchword
        self.api = api
        self.memory = memory
        self.origin = origin
        self.request = request
        // The URL has an origin, hence a path.
        let covered = try? Covered.of(method: request.method, url: request.url, host: nil, contentDigest: nil, known: origin)
        wanted = api.proofs.choose(request.method, covered?.path ?? "/")
        isRepeatable = request.body?.isRepeatable ?? true
        isLengthUnknown = request.body.map { $0.length == nil } ?? false
    }

    /// Whether the body, whose length isn't known, has to be read whole before the request is sent; see ``lengthGiven()``.
    public var wantsLength: Bool { isLengthUnknown && memory.present.wantsLength }

    /// Waits for a token; returns without one where the API's requests may go unproved.
    ///
    /// Throws a ``WatchwordError`` if there is no token to be had.
    public func prepare() async throws {
        do {
            held = try await credential()
        } catch let error as WatchwordError where api.sendUnproved {
            without = error
        }
    }

    /// Returns a token that is valid now, without waiting where there is one.
    private func credential() async throws -> HeldToken {
        if let token = watchword.heldToken(api.audience) { return token }
        return try await watchword.credential(api.audience)
    }

    /// Returns what one attempt on the wire carries. An attempt at another origin, and all that come after it, carry nothing of
    /// Watchword's.
    ///
    /// Throws `WatchwordError.outcomeUnknown` if the request may have been carried out already and mustn't be repeated,
    /// `.deviceFailed` if the device's key can't sign, what the body's ``WireBody/digest`` throws, and `URLError.badURL` where path or
    /// query aren't percent-encoded. Prepares where ``prepare()`` wasn't called.
    public func sign(_ request: WireRequest) async throws -> WireHeaders {
        guard !isAway, Origin.of(request.url) == origin else {
            isAway = true
            return WireHeaders(remove: Self.ownHeaders, set: [:])
        }
        if isUnknown && !isIdempotent(request.method) { throw outcomeUnknown("a library was about to send it again") }
        if held == nil && without == nil { try await prepare() }
        let set: [String: String]
        if let held { set = try await proved(request, by: held) } else { set = status() }
        try Task.checkCancellation()
        isSent = true
        isUnknown = true
        return WireHeaders(remove: held == nil ? Self.ownHeaders : Self.ownHeaders.union(Self.proofHeaders), set: set)
    }

    /// Notes that an attempt on the wire was answered.
    ///
    /// - Parameters:
    ///   - status: of the answer, 100 to 599.
    ///   - header: returns a header's value by its name in any case, nil where there is none.
    public func answered(status: Int, header: @Sendable (String) -> String?) {
        isSent = false
        isUnknown = Self.gatewaysOwn.contains(status)
        if (300...399).contains(status) { isRedirected = true }
        if isAway { return }
        if let nonce = header(Self.nonceHeader), Self.isGateNonce(nonce) { memory.hear { $0.nonce = nonce } }
    }

    /// Judges the last answer, after redirects.
    ///
    /// Throws a ``WatchwordError`` if another token is needed and there is none to be had, or if the request's outcome is
    /// unknown. The answer is to be closed then.
    ///
    /// - Parameters:
    ///   - status: of the answer, 100 to 599.
    ///   - header: see ``answered(status:header:)``.
    ///   - body: returns the first 64 KiB of the answer's body, decoded, without taking it from the app; called at most once, and
    ///     only after a refusal.
    public func judge(
        status: Int, header: @Sendable (String) -> String?, body: @Sendable () async throws -> Data
    ) async throws -> Verdict {
        if isAway { return .deliver }
        if status == 411 && isLengthUnknown {
            memory.hear { $0.wantsLength = true }
            lengthGiven()
            isRedirected = false
            return .repeatWithLength
        }
        guard status == 401, let sent = held else { return .deliver }
        // Another 401 is the API's own (a user's wrong password), and left to the app.
        guard let problem = Problem.read(header("Content-Type"), try await body()) else { return .deliver }
        if problem.type == "proof-used" {
            if !mayRepeat() { throw outcomeUnknown("its proof was used before") }
            isRedirected = false
            return .repeat
        }
        if !isRepeatable || left <= 0 { return .deliver }
        do {
            if !(try await mend(sent, problem, header)) { return .deliver }
        } catch is WatchwordError where api.sendUnproved {
            return .deliver
        }
        left -= 1
        isRedirected = false
        return .repeat
    }

    /// Judges an error of the library's: returns where the request is to be sent again.
    ///
    /// Where ``sign(_:)`` wasn't called since the last answer nothing was sent. Throws the error itself where nothing was sent, or
    /// where it says enough; `WatchwordError.outcomeUnknown` where the request may have been carried out, and mustn't be
    /// repeated. After a timeout nothing is repeated: the time that there was is used up. After a cancellation neither.
    ///
    /// - Parameter isBeforeSending: whether nothing was sent though `sign` was called: for an adapter that signs before there is a
    ///   connection, and whose library doesn't connect a second time by itself.
    public func lost(_ error: any Error, isBeforeSending: Bool = false) throws {
        if error is WatchwordError || Self.isCancellation(error) || Task.isCancelled { throw error }
        if isAway || !isSent || isBeforeSending {
            isUnknown = isUnknown && !isBeforeSending
            throw error
        }
        if (error as? URLError)?.code == .timedOut || !mayRepeat() {
            if Self.safe.contains(request.method) { throw error }
            throw outcomeUnknown("\(Self.name(of: error)), no answer")
        }
        isRedirected = false
        isSent = false
    }

    /// Notes that the body has a length from now on, and can be sent again: it was read whole.
    public func lengthGiven() {
        isLengthUnknown = false
        isRepeatable = true
    }

    /// Returns what to throw where the body is longer than ``maxKeptBytes``; nothing of the request was carried out.
    public nonisolated func lengthMissing() -> WatchwordError {
        .lengthRequired(.init(method: request.method, origin: "\(origin)", limit: Self.maxKeptBytes))
    }

    /// Throws where `next` would repeat, for the same call of the app, what may have been carried out.
    func forbidRepetition(_ next: Attempts) throws {
        if isUnknown && !next.isIdempotent(next.request.method) { throw outcomeUnknown("a library was about to send it again") }
    }

    /// Tells whether an error of a connection that is made comes about before anything is sent.
    static func isBeforeSending(_ error: any Error) -> Bool {
        (error as? URLError).map { connecting.contains($0.code) } ?? false
    }

    private nonisolated func isIdempotent(_ method: String) -> Bool {
        let key = request.idempotencyKey ?? ""
        return Self.idempotent.contains(method) || !key.allSatisfy(\.isWhitespace)
    }

    /// Tells whether a request with an unknown outcome is sent again; counts.
    private func mayRepeat() -> Bool {
        if !isIdempotent(request.method) || !isRepeatable || unknownLeft <= 0 { return false }
        unknownLeft -= 1
        return true
    }

    private nonisolated func outcomeUnknown(_ why: String) -> WatchwordError {
        .outcomeUnknown(.init(method: request.method, origin: "\(origin)", why: why))
    }
}

extension Attempts: Redacted {
    /// Method and origin.
    public nonisolated var description: String { "Attempts(\(request.method) \(origin))" }
}

// MARK: - What mends a refusal

extension Attempts {
    /// What is done about a refusal, each at most once.
    private enum Remedy {
        case token, nonce, clock
    }

    private func mend(_ sent: HeldToken, _ problem: Problem, _ header: @Sendable (String) -> String?) async throws -> Bool {
        switch problem.type {
        case "token-refused":
            guard done.insert(.token).inserted else { return false }
            return take(try await watchword.replaceToken(api.audience, refused: sent.token, isLost: false), not: sent)
        case "proof-nonce":
            return header(Self.nonceHeader).map(Self.isGateNonce) == true && done.insert(.nonce).inserted
        case "proof-refused", "proof-required":
            if problem.type == "proof-refused", correctClock(problem, header) { return true }
            // The device may have new keys by now, with which the token that was sent can't be proved.
            return take(try await credential(), not: sent) || takeProof()
        default:
            return false
        }
    }

    /// Takes a token; tells whether it is another one than the refused.
    private func take(_ token: HeldToken, not refused: HeldToken) -> Bool {
        held = token
        return token.token != refused.token
    }

    /// Reckons with the gate's time where it differs; tells whether it did.
    private func correctClock(_ problem: Problem, _ header: @Sendable (String) -> String?) -> Bool {
        guard let told = problem.now.map(Double.init) ?? httpDate(header("Date")) else { return false }
        let reading = watchword.reading()
        let ahead = told - reading.boot
        // Compared with what this attempt reckoned with: another request may have learned meanwhile.
        let isAmiss = abs(ahead - reckoned) >= Self.clockTolerance && Self.isNearService(ahead, reading)
        guard isAmiss, done.insert(.clock).inserted else { return false }
        memory.hear { $0.ahead = ahead }
        return true
    }

    /// Tells whether a gate's time is near enough to the service's to count; all are where that isn't known.
    private static func isNearService(_ ahead: Double, _ reading: Reading) -> Bool {
        reading.serviceTime.map { abs(ahead + reading.boot - $0) < maxApart + 1 } ?? true
    }

    /// Takes a proof that was not tried: only the gate knows which one its route asks for.
    private func takeProof() -> Bool {
        guard let held else { return false }
        let isKnown = isRepeatable
        guard let next = Self.ladder.first(where: { !tried.contains(Self.feasible(held, $0, isKnown)) }) else { return false }
        wanted = next
        return true
    }
}

// MARK: - What an attempt carries

extension Attempts {
    /// Returns the proof that can be made: the device's own where there is no session key.
    private static func feasible(_ held: HeldToken, _ wanted: ProofKind, _ isDigestKnown: Bool) -> ProofKind {
        if wanted == .bearer || held.own == nil || !isDigestKnown { return .bearer }
        return wanted == .session && held.sessionKey == nil ? .device : wanted
    }

    /// Returns the status that goes in place of a token, to the API's own origin and once.
    private func status() -> [String: String] {
        guard let without else { return [:] }
        let status: String
        switch without {
        case .deviceUnsupported: status = "unsupported"
        case .offline, .pin: status = "offline"
        case .refused: status = "refused"
        default: status = "device"
        }
        return isRedirected || !watchword.reading().speaks ? [:] : [Self.statusHeader: status]
    }

    /// Returns token and proof; without them where the device can't sign and the request may go unproved.
    private func proved(_ request: WireRequest, by sent: HeldToken) async throws -> [String: String] {
        do {
            do {
                return try await attached(request, sent)
            } catch let error as DeviceError where error.kind == .keyLost {
                let fresh = try await watchword.replaceToken(api.audience, refused: sent.token, isLost: true)
                held = fresh
                return try await attached(request, fresh)
            }
        } catch let error as DeviceError {
            return try unproved(.of(error))
        } catch let error as WatchwordError {
            return try unproved(error)
        }
    }

    private func unproved(_ error: WatchwordError) throws -> [String: String] {
        if !api.sendUnproved { throw error }
        held = nil
        without = error
        return status()
    }

    private func attached(_ request: WireRequest, _ held: HeldToken) async throws -> [String: String] {
        let isDigestKnown = request.body?.isRepeatable ?? true || request.contentDigest != nil
        let proof = Self.feasible(held, wanted, isDigestKnown)
        tried.insert(proof)
        var set = [Self.tokenHeader: held.token]
        guard proof != .bearer, let own = held.own else { return set }
        let fresh = Freshness(created: created(), own: watchword.nonce(), ofGate: memory.present.nonce)
        let isDPoP = proof == .device && api.dpop && !standsForSession(own)
        let digest = isDPoP ? nil : try await digest(request)
        let covered = try covered(request, digest)
        let made = Proof(covered: covered, token: held.token, own: own, fresh: fresh)
        let sign: @Sendable (Data) async throws -> Data = { [watchword] in try await watchword.sign($0) }
        let headers: [String: String]
        if proof == .session, let key = held.sessionKey {
            headers = made.bySession(key: key)
        } else if isDPoP {
            headers = try await made.byDPoP(sign: sign)
        } else {
            headers = try await made.byDevice(sign: sign)
        }
        set.merge(headers) { $1 }
        if let digest { set[Self.digestHeader] = digest }
        return set
    }

    private func covered(_ request: WireRequest, _ digest: String?) throws -> Covered {
        do {
            return try Covered.of(method: request.method, url: request.url, host: request.host, contentDigest: digest, known: origin)
        } catch is MalformedError {
            // Foundation's own URLs are percent-encoded.
            throw URLError(.badURL)
        }
    }

    /// Tells whether a device proof is made in place of a session proof; DPoP stands for none.
    private func standsForSession(_ own: OwnToken) -> Bool { own.isProvenByDevice && wanted == .session }

    /// Returns the gate's time, whole seconds since 1970, as far as it is known.
    private func created() -> Int64 {
        let reading = watchword.reading()
        let gate = memory.present.ahead.flatMap { Self.isNearService($0, reading) ? $0 : nil }
        reckoned = gate ?? (reading.serviceTime ?? reading.wall) - reading.boot
        // A hostile service or gate may tell a time that no integer holds: it costs a refused proof, not the app.
        return Int64(exactly: (reading.boot + reckoned).rounded(.down)) ?? 0
    }

    /// Returns the body's digest, nil where there is no body.
    private func digest(_ request: WireRequest) async throws -> String? {
        guard let body = request.body else { return nil }
        if !body.isRepeatable { return request.contentDigest }
        return body.length == 0 ? nil : Proof.contentDigest(hash: try await body.digest())
    }
}

// MARK: - Names and bounds

extension Attempts {
    /// How often a refused request is sent again.
    private static let maxRepetitions = 2
    /// How often a request whose outcome is unknown is sent again, where it may be.
    private static let maxUnknown = 2
    /// Seconds by which clocks may seem to differ and be right: what is told has whole seconds.
    private static let clockTolerance = 2.0
    /// Seconds by which a gate's time may differ from the service's and count.
    private static let maxApart = 120.0

    private static let tokenHeader = "Watchword-Token"
    private static let statusHeader = "Watchword-Status"
    private static let nonceHeader = "Watchword-Nonce"
    private static let digestHeader = "Content-Digest"
    private static let ownHeaders: Set<String> = [tokenHeader, statusHeader]
    private static let proofHeaders: Set<String> = ["Signature-Input", "Signature", "DPoP"]
    private static let safe: Set<String> = ["GET", "HEAD", "OPTIONS", "TRACE"]
    private static let idempotent = safe.union(["PUT", "DELETE"])
    private static let ladder: [ProofKind] = [.session, .device]
    /// Answers of a gateway that lost the API's: it may have carried the request out.
    private static let gatewaysOwn: Set<Int> = [502, 504]
    /// Errors after which no connection, or no trusted one, came about.
    private static let connecting: Set<URLError.Code> = [
        .cannotFindHost, .dnsLookupFailed, .cannotConnectToHost, .notConnectedToInternet, .dataNotAllowed, .internationalRoamingOff,
        .secureConnectionFailed, .serverCertificateHasBadDate, .serverCertificateUntrusted, .serverCertificateHasUnknownRoot,
        .serverCertificateNotYetValid, .clientCertificateRequired, .appTransportSecurityRequiresSecureConnection,
    ]

    private static func isGateNonce(_ text: String) -> Bool {
        Base64URL.isText(text, of: 30...30)
    }

    private static func isCancellation(_ error: any Error) -> Bool {
        error is CancellationError || (error as? URLError)?.code == .cancelled
    }

    /// Returns an error's name, which holds nothing of the request: its description may have the URL.
    private static func name(of error: any Error) -> String {
        (error as? URLError).map { "URLError \($0.errorCode)" } ?? "\(type(of: error))"
    }
}
