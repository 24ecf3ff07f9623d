import Foundation

extension Pins {
    func admit(_ url: URL) throws {
        refresh()
        if let host = url.host, url.scheme?.lowercased() != "https" { try checkCleartext(host: host) }
    }
}
