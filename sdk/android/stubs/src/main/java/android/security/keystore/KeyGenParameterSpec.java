// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security.keystore;

import java.security.spec.AlgorithmParameterSpec;

public final class KeyGenParameterSpec implements AlgorithmParameterSpec {
    private final Builder from;

    private KeyGenParameterSpec(Builder from) {
        this.from = from;
    }

    public AlgorithmParameterSpec getAlgorithmParameterSpec() {
        return from.parameters;
    }

    public String getAttestKeyAlias() {
        return null;
    }

    public byte[] getAttestationChallenge() {
        return from.challenge;
    }

    public String[] getBlockModes() {
        return from.blockModes;
    }

    public String[] getDigests() {
        return from.digests;
    }

    public String[] getEncryptionPaddings() {
        return from.paddings;
    }

    public int getKeySize() {
        return from.keySize;
    }

    public String getKeystoreAlias() {
        return from.alias;
    }

    public int getPurposes() {
        return from.purposes;
    }

    public boolean isStrongBoxBacked() {
        return from.strongBox;
    }

    public boolean isUnlockedDeviceRequired() {
        return false;
    }

    public boolean isUserAuthenticationRequired() {
        return false;
    }

    public static final class Builder {
        private final String alias;
        private final int purposes;
        private AlgorithmParameterSpec parameters;
        private byte[] challenge;
        private String[] blockModes = {};
        private String[] digests = {};
        private String[] paddings = {};
        private int keySize = -1;
        private boolean strongBox;

        public Builder(String keystoreAlias, int purposes) {
            this.alias = keystoreAlias;
            this.purposes = purposes;
        }

        public Builder setAlgorithmParameterSpec(AlgorithmParameterSpec spec) {
            parameters = spec;
            return this;
        }

        public Builder setAttestationChallenge(byte[] attestationChallenge) {
            challenge = attestationChallenge;
            return this;
        }

        public Builder setBlockModes(String... blockModes) {
            this.blockModes = blockModes;
            return this;
        }

        public Builder setDigests(String... digests) {
            this.digests = digests;
            return this;
        }

        public Builder setEncryptionPaddings(String... paddings) {
            this.paddings = paddings;
            return this;
        }

        public Builder setIsStrongBoxBacked(boolean isStrongBoxBacked) {
            strongBox = isStrongBoxBacked;
            return this;
        }

        public Builder setKeySize(int keySize) {
            this.keySize = keySize;
            return this;
        }

        public KeyGenParameterSpec build() {
            return new KeyGenParameterSpec(this);
        }
    }
}
