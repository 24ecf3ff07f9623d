// So that the package builds until the first source is here; delete it then.
import Foundation
