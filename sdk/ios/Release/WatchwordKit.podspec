Pod::Spec.new do |spec|
  spec.name = 'WatchwordKit'
  spec.version = '@VERSION@'
  spec.summary = 'Shows your API that a request comes from your genuine app.'
  # Both are yours to set where you host the archive; a Podfile that names this directory by :path reads neither.
  spec.homepage = ENV.fetch('WATCHWORD_HOMEPAGE', 'https://watchword.example')
  spec.source = { :http => ENV.fetch('WATCHWORD_ARCHIVE', "https://watchword.example/WatchwordKit-#{spec.version}.zip") }
  spec.license = { :type => 'Apache-2.0', :file => 'LICENSE' }
  spec.authors = 'Watchword'
  spec.ios.deployment_target = '15.0'
  spec.osx.deployment_target = '12.0'
  spec.swift_versions = ['5.9', '6.0']

  spec.source_files = 'Sources/WatchwordKit/**/*.swift'
  spec.resource_bundles = { 'WatchwordKit_Privacy' => ['Sources/WatchwordKit/PrivacyInfo.xcprivacy'] }
  spec.frameworks = 'CryptoKit', 'DeviceCheck', 'Security'
end
