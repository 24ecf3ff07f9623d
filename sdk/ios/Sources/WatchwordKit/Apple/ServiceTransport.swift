import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The way to the service: a `URLSession` of its own, without cookies, caches, redirects or compression.
struct ServiceTransport: GuardedTransport {
    private let limit: Int
    private let wire: Wire

    /// - Parameter limit: most bytes of an answer.
    init(limit: Int = Attempts.maxAnswerBytes, pins: Pins? = nil) {
        self.limit = limit
        wire = Wire(pins: pins) {
            let configuration = URLSessionConfiguration.ephemeral
            configuration.httpCookieAcceptPolicy = .never
            configuration.httpShouldSetCookies = false
            configuration.urlCache = nil
            configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
            return configuration
        }
    }

    func guarded(by pins: Pins) -> any Transport { ServiceTransport(limit: limit, pins: pins) }

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        try await answer("POST", url, headers, body, timeout)
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        try await answer("GET", url, headers, nil, timeout)
    }

    private func answer(
        _ method: String, _ url: String, _ headers: [String: String], _ body: Data?, _ timeout: Double
    ) async throws -> Answer {
        guard let address = URL(string: url) else { throw URLError(.badURL) }
        var request = URLRequest(url: address, cachePolicy: .reloadIgnoringLocalCacheData, timeoutInterval: timeout)
        request.httpMethod = method
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        let (data, response): (Data, HTTPURLResponse)
        do {
            (data, response) = try await wire.data(for: request, body.map { .data($0) } ?? .none, limit: limit, timeout: timeout)
        } catch let failure as WireFailure {
            throw failure.cause
        }
        var fields: [String: String] = [:]
        for (name, value) in response.allHeaderFields {
            if let name = name as? String, let value = value as? String { fields[name.lowercased()] = value }
        }
        let encoding = fields["content-encoding"]?.trimmingCharacters(in: .whitespaces).lowercased() ?? "identity"
        if encoding != "identity" { throw UnreadableAnswerError("got a compressed answer, which wasn't asked for") }
        return Answer(status: response.statusCode, headers: fields, body: data)
    }
}
