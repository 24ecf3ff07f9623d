import { Platform } from 'react-native';
import native from './NativeWatchword';
import { createWatchword } from './watchword';

export { WatchwordError, type WatchwordErrorCode } from './errors';
export type { Api, Configuration, Lab, ProofKind, Secret, Status, Watchword } from './watchword';

export const { configure, onError, prefetch, ready, enrol, secret, forgetSecret, bind, status } = createWatchword(
  native,
  Platform.OS === 'ios' ? 'ios' : 'android',
);
