import { expect, test } from 'vitest';
// @ts-expect-error: Expo reads it as it is.
import plugin from '../app.plugin.js';

const ENTITLEMENT = 'com.apple.developer.devicecheck.appattest-environment';

test('adds the entitlement of App Attest and leaves all else', () => {
  const config = { name: 'Clinic', ios: { bundleIdentifier: 'com.example.clinic', entitlements: { 'aps-environment': 'production' } } };
  const before = structuredClone(config);
  expect(plugin(config)).toEqual({
    name: 'Clinic',
    ios: { bundleIdentifier: 'com.example.clinic', entitlements: { 'aps-environment': 'production', [ENTITLEMENT]: 'production' } },
  });
  expect(config).toEqual(before);
  expect(plugin({ name: 'Clinic' }, undefined).ios.entitlements).toEqual({ [ENTITLEMENT]: 'production' });
});

test('takes the environment of Apple that is asked for, twice the same', () => {
  const once = plugin({ name: 'Clinic' }, { appAttestEnvironment: 'development' });
  expect(once.ios.entitlements[ENTITLEMENT]).toBe('development');
  expect(plugin(once, { appAttestEnvironment: 'development' })).toEqual(once);
});

test('refuses what nobody meant', () => {
  expect(() => plugin({}, { appAttestEnvironment: 'sandbox' })).toThrow(/got 'sandbox', expected production or development/);
  expect(() => plugin({}, { environment: 'production' })).toThrow(/got the option environment/);
  const written = { ios: { entitlements: { [ENTITLEMENT]: 'development' } } };
  expect(() => plugin(written)).toThrow(/say it in one place/);
});
