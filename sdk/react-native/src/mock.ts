import { WatchwordError, type WatchwordErrorCode } from './errors';
import type { NativeConfiguration, NativeFailure, Spec } from './NativeWatchword';
import { createWatchword, type Watchword } from './watchword';

/** What a test says of the phone and the service behind the mock, and what it reads. */
export interface Simulation {
  /** Secrets by name; any other is refused with `secret-refused`. */
  secrets: Record<string, string>;
  /** The level once there is a token. */
  level: string;
  /** What `ready`, `enrol` and `secret` fail with from now on; null for nothing. */
  failure: { code: WatchwordErrorCode; message?: string; ref?: string; retryAfter?: number; isFinal?: boolean } | null;
  /** What `configure` was called with, in native code's form; null before. */
  readonly configured: NativeConfiguration | null;
  /** What tokens are bound to; null for nothing. */
  readonly bound: string | null;
  /** Calls the listeners of `onError`, as a request does that fails. */
  fail(failure: { code: WatchwordErrorCode; message?: string; ref?: string; method?: string; origin?: string }): void;
  /** Starts again: nothing is configured, no listener is left. */
  reset(): void;
}

/** A module to put in place of `@watchword/react-native`: the same names, and `simulation`. */
export interface Mock extends Watchword {
  WatchwordError: typeof WatchwordError;
  simulation: Simulation;
}

/**
 * Makes the mock: the package's own code over simulated native code, so that wrong configurations and errors are as on a phone.
 *
 * @param spied makes a function whose calls the test framework counts.
 */
export function createMock(spied: <F extends (...values: never[]) => unknown>(call: F) => F): Mock {
  const { native, simulation } = simulated();
  const real = createWatchword(native, 'android');
  return {
    configure: spied(real.configure),
    onError: spied(real.onError),
    prefetch: spied(real.prefetch),
    ready: spied(real.ready),
    enrol: spied(real.enrol),
    secret: spied(real.secret) as Watchword['secret'],
    forgetSecret: spied(real.forgetSecret),
    bind: spied(real.bind),
    status: spied(real.status),
    WatchwordError,
    simulation,
  };
}

function simulated(): { native: Spec; simulation: Simulation } {
  const listeners = new Set<(failure: NativeFailure) => void>();
  let configured: NativeConfiguration | null = null;
  let bound: string | null = null;
  let isEnrolled = false;
  const told = <T extends { code: string; message?: string }>(failure: T) => ({ message: `simulated: ${failure.code}`, ...failure });
  const refuse = (failure: { code: string; message?: string }): never => {
    const { code, message, ...userInfo } = told(failure);
    throw Object.assign(new Error(message), { code, userInfo });
  };
  const enrolled = async (): Promise<void> => {
    if (configured === null) refuse({ code: 'configuration', message: 'simulated: configure() comes first' });
    if (simulation.failure !== null) refuse(simulation.failure);
    isEnrolled = true;
  };
  const simulation: Simulation = {
    secrets: {},
    level: 'hardware',
    failure: null,
    get configured() {
      return configured;
    },
    get bound() {
      return bound;
    },
    fail(failure) {
      listeners.forEach((listener) => listener(told(failure)));
    },
    reset() {
      Object.assign(simulation, { secrets: {}, level: 'hardware', failure: null });
      listeners.clear();
      configured = bound = null;
      isEnrolled = false;
    },
  };
  const native: Spec = {
    configure(configuration) {
      const isOther = configured !== null && JSON.stringify(configured) !== JSON.stringify(configuration);
      if (isOther) return 'got another configuration than before, expected one for each start of the app';
      configured = configuration;
      return '';
    },
    bind(value) {
      if (configured !== null) bound = value;
      return configured !== null;
    },
    prefetch() {
      void enrolled().catch(() => undefined);
    },
    forgetSecret: () => undefined,
    ready: enrolled,
    enrol: enrolled,
    async secret(name) {
      await enrolled();
      const value = simulation.secrets[name];
      return value === undefined ? refuse({ code: 'secret-refused' }) : encoded(value);
    },
    status: async () => ({ isConfigured: configured !== null, ...(isEnrolled ? { level: simulation.level } : {}) }),
    onError(listener) {
      const heard = (failure: NativeFailure) => void listener(failure);
      listeners.add(heard);
      return { remove: () => void listeners.delete(heard) } as ReturnType<Spec['onError']>;
    },
  };
  return { native, simulation };
}

function encoded(text: string): string {
  return btoa(unescape(encodeURIComponent(text)));
}
