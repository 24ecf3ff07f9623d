import { defineConfig } from 'vitest/config';

const local = (path: string): string => new URL(path, import.meta.url).pathname;

export default defineConfig({
  resolve: {
    // What an app imports, as it is in this directory.
    alias: [
      { find: /^@watchword\/react-native\/vitest$/, replacement: local('src/vitest.mts') },
      { find: /^@watchword\/react-native\/jest$/, replacement: local('src/jest.ts') },
      { find: /^@watchword\/react-native$/, replacement: local('src/index.ts') },
      // React Native itself is written in Flow, and runs on phones alone.
      { find: /^react-native$/, replacement: local('tests/react-native.ts') },
    ],
  },
  test: { include: ['**/*.test.ts', '**/*.test.mts'], exclude: ['pages-*/**'], dir: 'tests' },
});
