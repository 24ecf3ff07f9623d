require 'json'

package = JSON.parse(File.read(File.join(__dir__, 'package.json')))

Pod::Spec.new do |spec|
  spec.name = 'WatchwordReactNative'
  spec.version = package['version']
  spec.summary = package['description']
  # Both are yours to set where you host the package; autolinking names its directory by :path and reads neither.
  spec.homepage = ENV.fetch('WATCHWORD_HOMEPAGE', 'https://watchword.example')
  spec.source = { :http => ENV.fetch('WATCHWORD_ARCHIVE', "https://watchword.example/watchword-react-native-#{spec.version}.tgz") }
  spec.license = { :type => package['license'], :file => 'LICENSE' }
  spec.authors = 'Watchword'
  spec.ios.deployment_target = '15.1'
  spec.swift_versions = ['5.9', '6.0']

  spec.source_files = 'ios/*.{h,mm}', 'ios/Sources/**/*.swift'
  spec.pod_target_xcconfig = { 'DEFINES_MODULE' => 'YES' }
  spec.private_header_files = 'ios/*.h'
  spec.dependency 'WatchwordKit', package['version']
  # Test instances and lab phones: `WATCHWORD_TEST=1 pod install`, for debug builds. A release build with it doesn't compile.
  spec.dependency 'WatchwordTestInstance', package['version'] if ENV['WATCHWORD_TEST'] == '1'

  install_modules_dependencies(spec)
end
