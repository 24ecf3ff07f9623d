import { expect, test } from 'vitest';
// @ts-expect-error: Expo reads it as it is.
import plugin from '../app.plugin.js';

const ENTITLEMENT = 'com.apple.developer.devicecheck.appattest-environment';

/** Expo's own, as far as it is asked: hands the app's entitlements to the plugin's change. */
function entitled(before: Record<string, unknown>, options?: unknown): Record<string, unknown> {
  const config = { name: 'Clinic' };
  let after = before;
  const plugins = {
    withEntitlementsPlist(given: unknown, change: (changed: { modResults: object }) => { modResults: object }) {
      expect(given).toBe(config);
      after = change({ modResults: before }).modResults as Record<string, unknown>;
      return config;
    },
  };
  expect(plugin(config, options, plugins)).toBe(config);
  return after;
}

test('adds the entitlement of App Attest and leaves all else', () => {
  const before = { 'aps-environment': 'production' };
  expect(entitled(before)).toEqual({ 'aps-environment': 'production', [ENTITLEMENT]: 'production' });
  expect(before).toEqual({ 'aps-environment': 'production' });
});

test('takes the environment of Apple that is asked for, twice the same', () => {
  const once = entitled({}, { appAttestEnvironment: 'development' });
  expect(once).toEqual({ [ENTITLEMENT]: 'development' });
  expect(entitled(once, { appAttestEnvironment: 'development' })).toEqual(once);
});

test('refuses what nobody meant, a wrong option before anything is written', () => {
  const unasked = {
    withEntitlementsPlist() {
      throw new Error('nothing may be written');
    },
  };
  expect(() => plugin({}, { appAttestEnvironment: 'sandbox' }, unasked)).toThrow(/got 'sandbox', expected production or development/);
  expect(() => plugin({}, { environment: 'production' }, unasked)).toThrow(/got the option environment/);
  expect(() => entitled({ [ENTITLEMENT]: 'development' })).toThrow(/say it in one place/);
});
