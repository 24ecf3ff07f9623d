// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security.keystore;

import java.security.spec.KeySpec;

/** Its constructor is hidden on a phone; a test's Keystore makes one. */
public class KeyInfo implements KeySpec {
    private final int securityLevel;

    public KeyInfo(int securityLevel) {
        this.securityLevel = securityLevel;
    }

    public int getSecurityLevel() {
        return securityLevel;
    }

    public boolean isInsideSecureHardware() {
        return securityLevel != KeyProperties.SECURITY_LEVEL_SOFTWARE;
    }
}
