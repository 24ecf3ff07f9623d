Pod::Spec.new do |spec|
  spec.name = 'WatchwordTestInstance'
  spec.version = '@VERSION@'
  spec.summary = 'Test instances of Watchword: for debug builds alone, by :configurations => [\'Debug\'].'
  spec.homepage = ENV.fetch('WATCHWORD_HOMEPAGE', 'https://watchword.example')
  spec.source = { :http => ENV.fetch('WATCHWORD_ARCHIVE', "https://watchword.example/WatchwordKit-#{spec.version}.zip") }
  spec.license = { :type => 'Apache-2.0', :file => 'LICENSE' }
  spec.authors = 'Watchword'
  spec.ios.deployment_target = '15.0'
  spec.osx.deployment_target = '12.0'
  spec.swift_versions = ['5.9', '6.0']

  spec.source_files = 'Sources/WatchwordTestInstance/**/*.swift', 'Sources/LabAttester/**/*.swift'
  spec.dependency 'WatchwordKit', spec.version.to_s
end
