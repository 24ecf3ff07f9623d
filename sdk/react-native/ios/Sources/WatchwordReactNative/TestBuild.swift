import Foundation
import WatchwordKit

#if DEBUG && canImport(WatchwordTestInstance)
    import WatchwordTestInstance

    /// Returns the instance that JavaScript asked for in a debug build; nil where it is the phone's own.
    func testBuild(_ configuration: Watchword.Configuration, _ said: [String: Any]) throws -> Watchword? {
        if let code = said["testInstance"] as? String { return try Watchword.testInstance(configuration, code: code) }
        guard let lab = said["lab"] as? [String: Any] else { return nil }
        guard let attester = URL(string: try Bridge.text(lab, "attester")) else {
            throw Failure(code: Failure.configuration, message: "lab.attester: got no URL, expected http://127.0.0.1:8450")
        }
        return try Watchword.lab(
            configuration, attester: attester, kind: try Bridge.text(lab, "kind"), device: try Bridge.text(lab, "device"))
    }
#else
    /// What every other build has in place of test instances and lab phones: nothing.
    func testBuild(_ configuration: Watchword.Configuration, _ said: [String: Any]) throws -> Watchword? {
        if said["testInstance"] == nil && said["lab"] == nil { return nil }
        throw Failure(
            code: Failure.configuration,
            message: "got testInstance or lab in a build that has neither: a release build never has; for a debug build run "
                + "WATCHWORD_TEST=1 pod install")
    }
#endif
