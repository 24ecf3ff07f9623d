import Foundation

/// A problem document of Watchword's (RFC 9457).
struct Problem: Sendable {
    let type: String
    let title: String
    let ref: String?
    let reasons: [String]

    /// The time that it tells, seconds since 1970; nil where it tells none.
    let now: Int64?

    /// A final refusal signed over the statement; nil where there is none.
    let signed: String?

    /// A place in the line of those who enrol; nil where there is none, or what can't be one.
    let place: String?

    private static let prefix = "urn:watchword:problem:"
    private static let maxText = 200
    private static let maxPlace = 128

    /// Returns the problem in an answer, nil if it isn't one of Watchword's.
    static func read(_ contentType: String?, _ body: Data) -> Problem? {
        guard mediaType(contentType) == "application/problem+json",
            let document = try? JSONObject.read(body, limit: Exchange.maxAnswerBytes),
            let type = document["type"]?.text, type.hasPrefix(prefix)
        else { return nil }
        return Problem(
            type: String(type.dropFirst(prefix.count).prefix(maxText)),
            title: String((document["title"]?.text ?? "").prefix(maxText)),
            ref: document["ref"]?.text,
            reasons: (document["reasons"]?.list ?? []).compactMap(\.text),
            now: time(document["now"]),
            signed: document["signed"]?.text,
            place: place(document["place"]))
    }

    /// Returns a place in the line of those who enrol; nil if it can't be one.
    static func place(_ value: JSON?) -> String? {
        guard let text = value?.text, (1...maxPlace).contains(text.utf8.count), text.utf8.allSatisfy(isInPlace) else { return nil }
        return text
    }

    private static func isInPlace(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// Returns a time of the wire, whole seconds since 1970; nil if it is none.
func time(_ value: JSON?) -> Int64? {
    guard let seconds = value?.integer, (1...9_999_999_999).contains(seconds) else { return nil }
    return seconds
}

/// Returns the media type in a `Content-Type`, in lower case and without its parameters.
func mediaType(_ contentType: String?) -> String {
    let type = (contentType ?? "").prefix { $0 != ";" }
    return type.trimmingCharacters(in: .whitespaces).lowercased()
}

/// Talks to the service: one JSON request, one JSON answer, and patience in between, with growing pauses and full jitter,
/// so that phones which lost the service at one moment don't return at one moment.
struct Exchange: Sendable {
    /// How often a request is sent, and a busy device asked.
    static let maxAttempts = 4

    /// The longest pause, in seconds; a service that asks for more is reported as unavailable at once.
    static let maxPause = 8.0

    /// Most bytes of an answer that is read.
    static let maxAnswerBytes = 64 * 1024

    private static let firstPause = 0.5
    private static let timeout = 10.0
    private static let maxText = 200
    private static let later: Set<Int> = [408, 425, 429, 500, 502, 503, 504]

    let service: String
    let ports: Ports

    /// Is told each time that the service tells, in seconds since 1970.
    let hear: @Sendable (Int64) -> Void

    /// Says that an attempt failed and may be repeated.
    private struct Later: Error {
        let why: String
        var retryAfter: Double?
        var place: String?
    }

    /// Returns the answer to a POST.
    ///
    /// - Parameters:
    ///   - attempts: how often it may be sent, 1 or more.
    ///   - hearPlace: is told each place in the line that the service gives, and the next attempt brings it; nil where places mean
    ///     nothing.
    /// - Throws: ``WatchwordError`` that says what came instead.
    func post(
        _ path: String, _ body: JSONObject, attempts: Int, hearPlace: (@Sendable (String) -> Void)? = nil
    ) async throws -> JSONObject {
        // Nothing is compressed: few bytes could become very many.
        let headers = ["Content-Type": "application/json", "Accept-Encoding": "identity"]
        var body = body
        var attempt = 0
        while true {
            let content = body.written()
            do {
                let answer = try await sent {
                    try await ports.transport.post(service + path, headers: headers, body: content, timeout: Self.timeout)
                }
                return try sorted(answer)
            } catch let later as Later {
                attempt += 1
                if let place = later.place, let hearPlace {
                    hearPlace(place)
                    body["place"] = .text(place)
                }
                guard attempt < attempts, (later.retryAfter ?? 0) <= Self.maxPause else {
                    throw WatchwordError.offline(
                        .init("the service is not available after \(attempt) attempt(s): \(later.why)", retryAfter: later.retryAfter))
                }
                try await ports.pause(pause(after: attempt - 1, asked: later.retryAfter))
            }
        }
    }

    /// Returns the answer to one GET; nil for whatever isn't a JSON object.
    func get(_ path: String) async throws -> JSONObject? {
        do {
            let headers = ["Accept-Encoding": "identity"]
            return try sorted(try await sent { try await ports.transport.get(service + path, headers: headers, timeout: Self.timeout) })
        } catch let error as CancellationError {
            throw error
        } catch {
            return nil
        }
    }

    /// Returns the seconds to wait after a failed attempt (0 is the first), on top of what was asked for.
    func pause(after attempt: Int, asked: Double? = nil) -> Double {
        (asked ?? 0) + ports.jitter() * min(Self.maxPause, Self.firstPause * Double(1 << min(attempt, 10)))
    }

    private func sent(_ request: () async throws -> Answer) async throws -> Answer {
        let answer: Answer
        do {
            answer = try await request()
        } catch let error as WatchwordError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch let error as UnreadableAnswerError {
            throw WatchwordError.unreadable(error.message)
        } catch {
            throw Later(why: String(String(describing: error).prefix(Self.maxText)))
        }
        // A transport of the app's own is held to the same rules.
        let encoding = answer.headers["content-encoding"].map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
        guard encoding == nil || encoding == "identity" else {
            throw WatchwordError.unreadable("got a compressed answer, which wasn't asked for")
        }
        return answer
    }

    /// Returns a success's object, or throws what the answer means.
    ///
    /// A refusal counts only as a problem document of Watchword's: whatever else stands in the way (a captive portal, a
    /// firewall) must not make an app give up its instance.
    private func sorted(_ answer: Answer) throws -> JSONObject {
        let contentType = answer.headers["content-type"]
        let problem = Problem.read(contentType, answer.body)
        if let now = problem?.now { hear(now) }
        if Self.later.contains(answer.status) {
            let why = problem?.reasons.joined(separator: ", ") ?? ""
            let told = "HTTP \(answer.status)" + (why.isEmpty ? "" : " (\(why))")
            throw Later(why: told, retryAfter: retryAfter(answer), place: problem?.place)
        }
        if answer.status == 200 || answer.status == 201 {
            guard mediaType(contentType) == "application/json" else {
                throw WatchwordError.unreadable("HTTP \(answer.status) that isn't JSON")
            }
            do {
                let document = try JSONObject.read(answer.body, limit: Self.maxAnswerBytes)
                if let now = time(document["now"]) { hear(now) }
                return document
            } catch {
                throw WatchwordError.unreadable("HTTP \(answer.status) without a JSON object: \(error)")
            }
        }
        guard let problem else { throw WatchwordError.unreadable("HTTP \(answer.status) without a problem document of the service") }
        throw WatchwordError.refused(
            .init(
                type: problem.type, status: answer.status, title: problem.title, ref: problem.ref, reasons: problem.reasons,
                signed: problem.signed))
    }

    /// Returns the seconds in `Retry-After`; its other form, a date, is taken as not given.
    private func retryAfter(_ answer: Answer) -> Double? {
        guard let text = answer.headers["retry-after"]?.trimmingCharacters(in: .whitespaces), (1...9).contains(text.utf8.count),
            text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return Double(text)
    }
}

extension Ports {
    /// Waits; a wait that fails is over, one that is cancelled ends the work.
    func pause(_ seconds: Double) async throws {
        do {
            try await sleep(seconds)
        } catch let error as CancellationError {
            throw error
        } catch {
            return
        }
    }
}
