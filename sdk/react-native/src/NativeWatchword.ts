import type { CodegenTypes, TurboModule } from 'react-native';
import { TurboModuleRegistry } from 'react-native';

/**
 * What crosses the bridge. No token and no key does, in either direction: a test reads this file and holds it to that.
 * Codegen makes the Java and the ObjC++ interface of it.
 */

/** One API, its patterns of paths by the proof that they ask for. */
export type NativeApi = {
  audience: string;
  origins: string[];
  device: string[];
  session: string[];
  bearer: string[];
  otherwise: string;
  dpop: boolean;
  sendUnproved: boolean;
};

/** The lab's attester in place of this device's hardware; for debug builds alone. */
export type NativeLab = {
  attester: string;
  kind: string;
  device: string;
};

/** All that native code is told, once. */
export type NativeConfiguration = {
  service: string;
  app: string;
  apis: NativeApi[];
  waitSeconds: number;
  strongBox: boolean;
  issuer?: string;
  pins?: string;
  testInstance?: string;
  lab?: NativeLab;
};

/** What went wrong with a request, or with a call below. */
export type NativeFailure = {
  code: string;
  message: string;
  ref?: string;
  retryAfter?: number;
  isFinal?: boolean;
  host?: string;
  method?: string;
  origin?: string;
};

/** How this instance stands. */
export type NativeStatus = {
  isConfigured: boolean;
  level?: string;
};

export interface Spec extends TurboModule {
  /** Returns what can't be right, or an empty text; at once, so that it counts for the next `fetch`. */
  configure(configuration: NativeConfiguration): string;
  /** Counts for the next `fetch` too; returns whether there is anything to bind. */
  bind(value: string | null): boolean;
  prefetch(): void;
  forgetSecret(name: string): void;
  ready(): Promise<void>;
  enrol(): Promise<void>;
  /** Resolves to the secret's bytes in base64. */
  secret(name: string): Promise<string>;
  status(): Promise<NativeStatus>;
  readonly onError: CodegenTypes.EventEmitter<NativeFailure>;
}

export default TurboModuleRegistry.getEnforcing<Spec>('Watchword');
