import type { Spec } from '../src/NativeWatchword';

/** As much of React Native as this package imports; a test says which native module there is. */
export const stub: { module: Spec | null; os: string } = { module: null, os: 'android' };

export const TurboModuleRegistry = {
  getEnforcing(name: string): Spec {
    if (name !== 'Watchword' || stub.module === null) throw new Error(`there is no native module '${name}'`);
    return stub.module;
  },
};

export const Platform = {
  get OS(): string {
    return stub.os;
  },
};
