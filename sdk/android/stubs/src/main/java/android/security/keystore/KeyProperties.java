// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security.keystore;

public abstract class KeyProperties {
    public static final String BLOCK_MODE_GCM = "GCM";
    public static final String DIGEST_SHA256 = "SHA-256";
    public static final String ENCRYPTION_PADDING_NONE = "NoPadding";
    public static final String KEY_ALGORITHM_AES = "AES";
    public static final String KEY_ALGORITHM_EC = "EC";
    public static final int PURPOSE_AGREE_KEY = 64;
    public static final int PURPOSE_DECRYPT = 2;
    public static final int PURPOSE_ENCRYPT = 1;
    public static final int PURPOSE_SIGN = 4;
    public static final int SECURITY_LEVEL_SOFTWARE = 0;
    public static final int SECURITY_LEVEL_STRONGBOX = 2;
    public static final int SECURITY_LEVEL_TRUSTED_ENVIRONMENT = 1;

    private KeyProperties() {}
}
