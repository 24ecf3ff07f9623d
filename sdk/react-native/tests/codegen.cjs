// Writes what React Native's codegen makes of the specification: `node tests/codegen.cjs DIRECTORY`.
const fs = require('node:fs');
const path = require('node:path');
const { TypeScriptParser } = require('@react-native/codegen/lib/parsers/typescript/parser');
const { generate } = require('@react-native/codegen/lib/generators/RNCodegen');

const root = path.dirname(__dirname);
const config = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).codegenConfig;
const outputDirectory = process.argv[2];
fs.mkdirSync(outputDirectory, { recursive: true });
const done = generate(
  {
    libraryName: config.name,
    schema: new TypeScriptParser().parseFile(path.join(root, config.jsSrcsDir, 'NativeWatchword.ts')),
    outputDirectory,
    packageName: config.android.javaPackageName,
    assumeNonnull: true,
    includeGetDebugPropsImplementation: false,
    useLocalIncludePaths: false,
  },
  { generators: ['modulesAndroid', 'modulesIOS'], test: false },
);
process.exitCode = done === false ? 1 : 0;
