// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security;

/** Its constructor is hidden on a phone; a test makes one of what Keystore says inside. */
public class KeyStoreException extends Exception {
    public static final int ERROR_ATTESTATION_KEYS_UNAVAILABLE = 16;
    public static final int ERROR_KEY_CORRUPTED = 7;
    public static final int ERROR_KEY_DOES_NOT_EXIST = 6;
    public static final int RETRY_AFTER_NEXT_REBOOT = 4;
    public static final int RETRY_NEVER = 1;
    public static final int RETRY_WHEN_CONNECTIVITY_AVAILABLE = 3;
    public static final int RETRY_WITH_EXPONENTIAL_BACKOFF = 2;

    private static final long serialVersionUID = 1L;

    private final int internalCode;
    private final int numericCode;
    private final boolean transientFailure;
    private final int retryPolicy;
    private final boolean systemError;
    private final boolean authentication;

    public KeyStoreException(
            int internalCode,
            int numericCode,
            boolean transientFailure,
            int retryPolicy,
            boolean systemError,
            boolean authentication) {
        super("System error");
        this.internalCode = internalCode;
        this.numericCode = numericCode;
        this.transientFailure = transientFailure;
        this.retryPolicy = retryPolicy;
        this.systemError = systemError;
        this.authentication = authentication;
    }

    public int getNumericErrorCode() {
        return numericCode;
    }

    public int getRetryPolicy() {
        return retryPolicy;
    }

    public boolean isSystemError() {
        return systemError;
    }

    public boolean isTransientFailure() {
        return transientFailure;
    }

    public boolean requiresUserAuthentication() {
        return authentication;
    }

    @Override
    public String toString() {
        return super.toString()
                + " (public error code: "
                + numericCode
                + " internal Keystore code: "
                + internalCode
                + ")";
    }
}
