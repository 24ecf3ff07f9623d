import CryptoKit
import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

extension URLSession {
    /// Returns a session whose requests to the configured APIs carry token and proof; all others pass untouched.
    ///
    /// ```swift
    /// let session = URLSession.watchword(watchword, audience: "https://api.example")
    /// let (data, response) = try await session.data(from: url)
    /// ```
    ///
    /// - Parameters:
    ///   - audience: one of the configuration's; every call throws a ``ConfigurationError`` otherwise.
    ///   - configuration: of a foreground session. A background one makes every call throw a ``ConfigurationError``: it follows
    ///     redirects by itself, token and all, and sends when a proof is long too old.
    public static func watchword(
        _ watchword: Watchword, audience: String, configuration: URLSessionConfiguration = .default
    ) -> WatchwordSession {
        WatchwordSession(watchword, audience: audience, isBackground: configuration.identifier != nil, configuration)
    }
}

/// Sends requests as a `URLSession` does, with token and proof where they go to one of the configured APIs.
///
/// Each attempt on the wire is proved anew. A redirect is followed here and not by `URLSession`, since that would carry the token
/// along: another origin gets nothing of Watchword's, nor `Authorization` and `Cookie`. A request is sent again after a refusal that
/// can be mended, and after a lost answer where that is safe; else it throws ``WatchwordError/outcomeUnknown(_:)``.
///
/// `URLSession` may repeat an idempotent request by itself when a connection broke
/// (https://developer.apple.com/library/archive/qa/qa1941/_index.html, read 2026-11-30), below any hook that an app has. The gate
/// refuses the second attempt, as its proof was used; the request is then proved and sent once more.
///
/// Nothing is cached: a cache keeps a request's headers on disk, and so a token. Errors are ``WatchwordError``, and those that
/// `URLSession` throws.
public final class WatchwordSession: Sendable {
    private static let maxRedirects = 20
    private let watchword: Watchword
    private let wire: Wire
    /// Headers that the app's configuration gives every request. Set here and not by `URLSession`, which would give an `Authorization`
    /// among them to wherever a redirect leads.
    private let always: [String: String]
    private let refusal: ConfigurationError?

    init(_ watchword: Watchword, audience: String, isBackground: Bool, _ configuration: URLSessionConfiguration) {
        self.watchword = watchword
        // Copied, as an app may go on changing its own.
        let copy = UncheckedConfiguration(configuration)
        always = copy.headers
        wire = Wire(pins: watchword.pins) { copy.value }
        let audiences = watchword.configuration.apis.map(\.audience)
        if isBackground {
            refusal = ConfigurationError(
                "configuration: got a background session, expected .default or .ephemeral; have your API name a URL for the transfer")
        } else if !audiences.contains(audience) {
            refusal = ConfigurationError("audience: got '\(audience)', expected one of \(audiences)")
        } else {
            refusal = nil
        }
    }

    /// As `URLSession.data(for:)`. A body stream is read whole, at most 1 MiB.
    public func data(for request: URLRequest) async throws -> (Data, URLResponse) {
        let (request, upload) = try await stated(request)
        return try await sent(request, upload)
    }

    /// As `URLSession.data(from:)`.
    public func data(from url: URL) async throws -> (Data, URLResponse) { try await data(for: URLRequest(url: url)) }

    /// As `URLSession.upload(for:from:)`.
    public func upload(for request: URLRequest, from body: Data) async throws -> (Data, URLResponse) {
        try await sent(bare(request), .data(body))
    }

    /// As `URLSession.upload(for:fromFile:)`. The file is read once more, before it is sent, for its digest; it mustn't change meanwhile.
    public func upload(for request: URLRequest, fromFile file: URL) async throws -> (Data, URLResponse) {
        try await sent(bare(request), .file(file))
    }

    /// As `URLSession.download(for:)`: the file is the app's, to move or to remove.
    public func download(for request: URLRequest) async throws -> (URL, URLResponse) {
        let (request, upload) = try await stated(request)
        let wire = wire
        return try await perform(request, upload) { request, upload in
            let (file, response) = try await wire.download(request.carrying(upload))
            return Reply(response: response, content: file, first: { try firstBytes(of: file) }, drop: { removeFile(file) })
        }
    }

    #if !canImport(FoundationNetworking)
        /// As `URLSession.bytes(for:)`, but that a refusal is read here first.
        public func bytes(for request: URLRequest) async throws -> (PrefixedBytes<URLSession.AsyncBytes>, URLResponse) {
            let (request, upload) = try await stated(request)
            let wire = wire
            return try await perform(request, upload) { request, upload in
                // Without a count of transactions: what failed may have been sent.
                let (bytes, response) = try await wire.bytes(for: request.carrying(upload))
                guard let response = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
                let content = PrefixedBytes(bytes)
                // Only a refusal is judged by its body; everything else is handed out unread.
                guard response.statusCode == 401 else { return Reply(response: response, content: content, first: { Data() }) }
                let read = try await content.read(Attempts.maxAnswerBytes)
                return Reply(response: response, content: read, first: { read.prefix })
            }
        }
    #endif

    private func sent(_ request: URLRequest, _ upload: WireUpload) async throws -> (Data, URLResponse) {
        let wire = wire
        return try await perform(request, upload) { request, upload in
            let (data, response) = try await wire.data(for: request, upload)
            return Reply(response: response, content: data, first: { Data(data.prefix(Attempts.maxAnswerBytes)) })
        }
    }

    private func perform<Content: Sendable>(
        _ request: URLRequest, _ upload: WireUpload, _ send: @Sendable (URLRequest, WireUpload) async throws -> Reply<Content>
    ) async throws -> (Content, URLResponse) {
        if let refusal { throw refusal }
        var request = request
        for (name, value) in always where request.value(forHTTPHeaderField: name) == nil {
            request.setValue(value, forHTTPHeaderField: name)
        }
        let attempts = try await watchword.attempts(asked(request, upload))
        // What is known of the length here is all of it: files and streams are measured before.
        try await attempts?.prepare()
        while true {
            let reply: Reply<Content>
            do {
                reply = try await followed(request, upload, attempts, send)
            } catch {
                let failure = error as? WireFailure
                guard let attempts else { throw failure?.cause ?? error }
                try await attempts.lost(failure?.cause ?? error, isBeforeSending: failure?.isUnsent ?? false)
                continue
            }
            guard let attempts else { return (reply.content, reply.response) }
            let verdict: Verdict
            do {
                verdict = try await attempts.judge(status: reply.response.statusCode, header: reply.header, body: reply.first)
            } catch {
                reply.drop()
                throw error
            }
            if verdict == .deliver { return (reply.content, reply.response) }
            reply.drop()
        }
    }

    /// Sends a request, and follows where it is redirected to.
    private func followed<Content: Sendable>(
        _ request: URLRequest, _ upload: WireUpload, _ attempts: Attempts?,
        _ send: @Sendable (URLRequest, WireUpload) async throws -> Reply<Content>
    ) async throws -> Reply<Content> {
        var hop = Hop(request: request, upload: upload)
        for _ in 0...Self.maxRedirects {
            var signed = hop.request
            if let attempts {
                let headers = try await attempts.sign(wireRequest(hop))
                for name in headers.remove.union(headers.set.keys) { signed.setValue(nil, forHTTPHeaderField: name) }
                // At once: on Linux each value that is set by itself costs as much as the whole proof.
                signed.allHTTPHeaderFields = (signed.allHTTPHeaderFields ?? [:]).merging(headers.set) { $1 }
                signed.cachePolicy = .reloadIgnoringLocalCacheData
                // As it was proved: of a method that isn't in upper case `URLSession` may send every letter.
                signed.httpMethod = method(hop.request)
            }
            let reply = try await send(signed, hop.upload)
            await attempts?.answered(status: reply.response.statusCode, header: reply.header)
            guard let next = hop.redirected(by: reply.response) else { return reply }
            reply.drop()
            hop = next
        }
        throw URLError(.httpTooManyRedirects)
    }

    private func asked(_ request: URLRequest, _ upload: WireUpload) throws -> AppRequest {
        AppRequest(
            method: method(request), url: try address(request), idempotencyKey: request.value(forHTTPHeaderField: "Idempotency-Key"),
            body: try upload.wireBody())
    }

    private func wireRequest(_ hop: Hop) throws -> WireRequest {
        WireRequest(
            method: method(hop.request), url: try address(hop.request), host: hop.request.value(forHTTPHeaderField: "Host"),
            contentDigest: hop.request.value(forHTTPHeaderField: "Content-Digest"), body: try hop.upload.wireBody())
    }

    private func method(_ request: URLRequest) -> String { (request.httpMethod ?? "GET").uppercased() }

    private func address(_ request: URLRequest) throws -> String {
        guard let text = request.url?.absoluteString else { throw URLError(.badURL) }
        // A fragment isn't sent.
        return String(text.prefix { $0 != "#" })
    }

    /// Returns a request without its body, and the body: a proof covers bytes, which a stream gives once only.
    private func stated(_ request: URLRequest) async throws -> (URLRequest, WireUpload) {
        if let body = request.httpBody { return (bare(request), body.isEmpty ? .none : .data(body)) }
        // What goes elsewhere isn't proved, and is sent as it is.
        guard let stream = request.httpBodyStream, let url = request.url, watchword.covers(url) else { return (request, .none) }
        if let data = try await UncheckedStream(stream).read(Attempts.maxKeptBytes) { return (bare(request), .data(data)) }
        let origin = Origin.of(try address(request)).map { "\($0)" } ?? ""
        throw WatchwordError.lengthRequired(.init(method: method(request), origin: origin, limit: Attempts.maxKeptBytes))
    }

    private func bare(_ request: URLRequest) -> URLRequest {
        var bare = request
        bare.httpBody = nil
        bare.httpBodyStream = nil
        return bare
    }
}

/// An answer, and how to look at it before it is handed out.
private struct Reply<Content: Sendable>: Sendable {
    let response: HTTPURLResponse
    let content: Content
    /// Returns the first 64 KiB of the body.
    let first: @Sendable () async throws -> Data
    /// Lets go of what nobody is going to read.
    let drop: @Sendable () -> Void

    init(
        response: HTTPURLResponse, content: Content, first: @escaping @Sendable () async throws -> Data,
        drop: @escaping @Sendable () -> Void = {}
    ) {
        (self.response, self.content, self.first, self.drop) = (response, content, first, drop)
    }

    @Sendable func header(_ name: String) -> String? { response.value(forHTTPHeaderField: name) }
}

/// One request on its way, and where a redirect leads it.
struct Hop: Sendable {
    var request: URLRequest
    var upload: WireUpload

    /// Returns the request that an answer redirects to (RFC 9110 section 15.4); nil where it doesn't, or where that isn't followed.
    ///
    /// After 301 and 302 a `POST` becomes a `GET`, as everywhere; after 303 all but `HEAD` do; 307 and 308 repeat method and body.
    /// Nothing that began over TLS goes on without it.
    func redirected(by response: HTTPURLResponse) -> Hop? {
        guard let old = request.url, let location = response.value(forHTTPHeaderField: "Location"),
            let target = URL(string: location, relativeTo: old)?.absoluteURL, let origin = Origin.of(target.absoluteString)
        else { return nil }
        let before = Origin.of(old.absoluteString)
        if before?.scheme == "https", origin.scheme != "https" { return nil }
        let method = (request.httpMethod ?? "GET").uppercased()
        var next = self
        next.request.url = target
        switch response.statusCode {
        case 301 where method == "POST", 302 where method == "POST", 303 where method != "HEAD": next.becomeGet()
        case 301, 302, 303, 307, 308: break
        default: return nil
        }
        // A stream, which only what isn't proved has, was read already: an empty body would be sent in its place.
        if next.request.httpBodyStream != nil { return nil }
        if origin != before {
            for name in ["Authorization", "Proxy-Authorization", "Cookie", "Host"] { next.request.setValue(nil, forHTTPHeaderField: name) }
        }
        return next
    }

    private mutating func becomeGet() {
        request.httpMethod = "GET"
        request.httpBodyStream = nil
        upload = .none
        for name in ["Content-Type", "Content-Length", "Content-Digest", "Content-Encoding", "Transfer-Encoding"] {
            request.setValue(nil, forHTTPHeaderField: name)
        }
    }
}

/// Bytes that were read already, then those that are still to come.
public struct PrefixedBytes<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element == UInt8 {
    /// One byte.
    public typealias Element = UInt8
    let prefix: Data
    private let base: Base
    private let rest: Rest

    /// The iterator of a base is shared by whoever read the prefix and whoever reads on. Read by one task at a time, as any iterator.
    private final class Rest: @unchecked Sendable {
        var iterator: Base.AsyncIterator?
    }

    init(_ base: Base) {
        (self.base, prefix, rest) = (base, Data(), Rest())
    }

    private init(_ base: Base, prefix: Data, rest: Rest) {
        (self.base, self.prefix, self.rest) = (base, prefix, rest)
    }

    /// Returns the same, with up to `count` bytes read.
    func read(_ count: Int) async throws -> PrefixedBytes {
        var iterator = base.makeAsyncIterator()
        var read = Data()
        while read.count < count, let byte = try await iterator.next() { read.append(byte) }
        let rest = Rest()
        rest.iterator = iterator
        return PrefixedBytes(base, prefix: read, rest: rest)
    }

    /// Returns an iterator from the first byte on; one for each answer.
    public func makeAsyncIterator() -> Iterator { Iterator(prefix: prefix, iterator: rest.iterator ?? base.makeAsyncIterator()) }

    /// Reads byte for byte.
    public struct Iterator: AsyncIteratorProtocol {
        var prefix: Data
        var iterator: Base.AsyncIterator

        /// Returns the next byte, nil at the end.
        public mutating func next() async throws -> UInt8? {
            if !prefix.isEmpty { return prefix.removeFirst() }
            return try await iterator.next()
        }
    }
}

extension WireUpload {
    /// Returns what a proof has to know of the body; nil where there is none.
    func wireBody() throws -> WireBody? {
        switch self {
        case .none: return nil
        case .data(let data): return WireBody(data)
        case .file(let file):
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            // Not asked for its size: that is an API which an app has to give a reason for.
            let length = try handle.seekToEnd()
            return WireBody(length: Int64(length), isRepeatable: true) { try await inBackground { try digest(of: file) } }
        }
    }
}

extension URLRequest {
    /// Returns the request with its body, for a task that takes no upload.
    fileprivate func carrying(_ upload: WireUpload) throws -> URLRequest {
        var request = self
        switch upload {
        case .none: break
        case .data(let data): request.httpBody = data
        case .file(let file): request.httpBody = try Data(contentsOf: file)
        }
        return request
    }
}

private func digest(of file: URL) throws -> Data {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    var hash = SHA256()
    while let piece = try handle.read(upToCount: 64 * 1024), !piece.isEmpty { hash.update(data: piece) }
    return Data(hash.finalize())
}

private func firstBytes(of file: URL) throws -> Data {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    return try handle.read(upToCount: Attempts.maxAnswerBytes) ?? Data()
}

@Sendable private func removeFile(_ file: URL) { try? FileManager.default.removeItem(at: file) }

/// Runs what blocks on a thread that isn't Swift's own.
private func inBackground<Value: Sendable>(_ action: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global(qos: .userInitiated).async { continuation.resume(with: Result(catching: action)) }
    }
}

/// A stream that is read by one thread, once. Nobody else has it: the request that it came with is sent without it.
private struct UncheckedStream: @unchecked Sendable {
    private let stream: InputStream

    init(_ stream: InputStream) {
        self.stream = stream
    }

    /// Returns all of it; nil where that is more than `limit` bytes.
    func read(_ limit: Int) async throws -> Data? {
        try await inBackground {
            stream.open()
            defer { stream.close() }
            var data = Data()
            var buffer = [UInt8](repeating: 0, count: 64 * 1024)
            while true {
                let count = stream.read(&buffer, maxLength: buffer.count)
                if count < 0 { throw stream.streamError ?? URLError(.requestBodyStreamExhausted) }
                if count == 0 { return data }
                data.append(contentsOf: buffer[..<count])
                if data.count > limit { return nil }
            }
        }
    }
}

/// A configuration that nobody changes, without a cache and without headers: it was copied, and each session copies it again.
private struct UncheckedConfiguration: @unchecked Sendable {
    let value: URLSessionConfiguration
    /// Those that it had.
    let headers: [String: String]

    init(_ configuration: URLSessionConfiguration) {
        value = configuration.copy() as? URLSessionConfiguration ?? configuration
        value.urlCache = nil
        var headers: [String: String] = [:]
        for (name, text) in value.httpAdditionalHeaders ?? [:] { headers["\(name)"] = "\(text)" }
        self.headers = headers
        value.httpAdditionalHeaders = nil
    }
}
