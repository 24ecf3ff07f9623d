import Foundation
import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A request's body, as it can be hashed and then sent: in memory, or from ``Attempts/maxKeptBytes`` on in a file.
///
/// `URLSession` hands a body to a `URLProtocol` as a stream, which can be read once only: hashed as it is, it would be sent empty.
enum RequestBody: Sendable {
    case none
    case data(Data)
    case file(URL)

    /// Reads a request's body whole.
    ///
    /// - Throws: ``Failure`` where it can't be read, or where there is no room for it.
    static func of(_ request: URLRequest) throws -> RequestBody {
        if let data = request.httpBody { return data.isEmpty ? .none : .data(data) }
        guard let stream = request.httpBodyStream else { return .none }
        return try read(stream)
    }

    /// Lets go of what was kept.
    func close() {
        if case .file(let file) = self { try? FileManager.default.removeItem(at: file) }
    }

    private static func read(_ stream: InputStream) throws -> RequestBody {
        stream.open()
        defer { stream.close() }
        var kept = Data()
        var file: (handle: FileHandle, url: URL)?
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        do {
            defer { try? file?.handle.close() }
            while true {
                let count = stream.read(&buffer, maxLength: buffer.count)
                if count < 0 { throw stream.streamError ?? URLError(.requestBodyStreamExhausted) }
                if count == 0 { break }
                kept.append(contentsOf: buffer[..<count])
                if file == nil && kept.count > Attempts.maxKeptBytes { file = try opened() }
                if let file {
                    try file.handle.write(contentsOf: kept)
                    kept.removeAll(keepingCapacity: true)
                }
            }
        } catch {
            if let file { try? FileManager.default.removeItem(at: file.url) }
            let message = "the request's body can't be read whole, or there is no room to keep it (\(type(of: error)))"
            throw Failure(code: Failure.bodyUnreadable, message: message)
        }
        if let file { return .file(file.url) }
        return kept.isEmpty ? .none : .data(kept)
    }

    private static func opened() throws -> (FileHandle, URL) {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("watchword-body-\(UUID().uuidString)")
        // Readable once the phone was unlocked, as the request may go on in the background.
        var attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        #if os(iOS)
            attributes[.protectionKey] = FileProtectionType.completeUntilFirstUserAuthentication
        #endif
        guard FileManager.default.createFile(atPath: url.path, contents: nil, attributes: attributes) else {
            throw URLError(.cannotCreateFile)
        }
        return (try FileHandle(forWritingTo: url), url)
    }
}
