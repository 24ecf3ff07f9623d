import Foundation
import Testing

@testable import WatchwordKit

@Test func packageBuilds() { #expect(Bool(true)) }
