// Expo's config plugin: `"plugins": ["@watchword/react-native"]`, or with options
// `["@watchword/react-native", { "appAttestEnvironment": "development" }]`.
//
// It adds what autolinking can't: the entitlement of App Attest. Everything else is in place without it: keys of Android need no
// permission, and what the SDK writes lies where no backup takes it.
const ENTITLEMENT = 'com.apple.developer.devicecheck.appattest-environment';
const ENVIRONMENTS = ['production', 'development'];

/** Returns entitlements with App Attest's environment in them. */
function withAppAttest(entitlements, options = {}) {
  const unknown = Object.keys(options).filter((name) => name !== 'appAttestEnvironment');
  if (unknown.length > 0) {
    throw new Error(`@watchword/react-native: got the option ${unknown.join(', ')}, expected appAttestEnvironment or none`);
  }
  const environment = options.appAttestEnvironment ?? 'production';
  if (!ENVIRONMENTS.includes(environment)) {
    throw new Error(`@watchword/react-native: appAttestEnvironment: got '${environment}', expected ${ENVIRONMENTS.join(' or ')}`);
  }
  const present = entitlements[ENTITLEMENT];
  if (present !== undefined && present !== environment) {
    throw new Error(
      `@watchword/react-native: the app's entitlements say ${ENTITLEMENT}: '${present}', and the plugin '${environment}': say it in one place`,
    );
  }
  return { ...entitlements, [ENTITLEMENT]: environment };
}

/** @param plugins Expo's own; a test has others. */
module.exports = function withWatchword(config, options, plugins = require('expo/config-plugins')) {
  // Here already, so that a wrong option is told before anything is written.
  withAppAttest({}, options ?? {});
  return plugins.withEntitlementsPlist(config, (changed) => {
    changed.modResults = withAppAttest(changed.modResults, options ?? {});
    return changed;
  });
};
