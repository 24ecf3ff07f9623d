// What autolinking can't find out by itself.
module.exports = {
  dependency: {
    platforms: {
      android: {
        packageImportPath: 'import dev.watchword.reactnative.WatchwordPackage;',
        packageInstance: 'new WatchwordPackage()',
      },
      ios: {},
    },
  },
};
