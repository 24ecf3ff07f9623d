import { createMock } from './mock';

/** Jest gives every module of a test its own. */
declare const jest: { fn<F>(call: F): F };

const mock = createMock((call) => jest.fn(call));

export const { configure, onError, prefetch, ready, enrol, secret, forgetSecret, bind, status, WatchwordError, simulation } = mock;
