import java.io.ByteArrayOutputStream;
import java.io.Console;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.PBEKeySpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.crypto.generators.Argon2BytesGenerator;
import org.bouncycastle.crypto.params.Argon2Parameters;

/**
 * A Panzoto client's keys and recordings for Java 17: javax.crypto, and Bouncy Castle for Argon2id.
 * Every method names the section of docs/clients.md that it implements.
 *
 * <pre>
 * javac -cp /usr/share/java/bcprov.jar -d out Panzoto.java
 * java -cp out:/usr/share/java/bcprov.jar Panzoto encrypt --account me.json --s3-key KEY talk.3gp talk.enc
 * java -cp out:/usr/share/java/bcprov.jar Panzoto decrypt --account me.json --s3-key KEY talk.enc talk.3gp
 * </pre>
 *
 * me.json is what register or login returned. The password comes from --password-file (its first
 * line), from PANZOTO_PASSWORD or from a prompt, never from the arguments, which others can see.
 */
public final class Panzoto {
    static final int KEY_SIZE = 32;
    static final int NONCE_SIZE = 12;
    static final int TAG_SIZE = 16;

    // Version 2 recordings, section 3.
    static final byte[] MAGIC = ascii("PNZ2");
    static final byte SUITE = 0x01;
    static final int HEADER_SIZE = 128;
    static final int SEGMENT_SIZE = 65536;
    static final int STREAM_SALT_SIZE = 32;
    static final int NONCE_PREFIX_SIZE = 7;
    static final int STREAM_HEADER_SIZE = 1 + STREAM_SALT_SIZE + NONCE_PREFIX_SIZE;
    static final int FIRST_SEGMENT_PLAIN = SEGMENT_SIZE - STREAM_HEADER_SIZE - TAG_SIZE;
    static final int SEGMENT_PLAIN = SEGMENT_SIZE - TAG_SIZE;

    // Single-shot recordings, section 4.
    static final int PBKDF2_ITERATIONS = 100_000;

    private static final SecureRandom RANDOM = new SecureRandom();

    private Panzoto() {}

    /** A recording that does not open. {@code reason} is the stable word of section 3.4 or 4. */
    public static final class RecordingException extends IOException {
        private static final long serialVersionUID = 1;
        final String reason;

        RecordingException(String reason, String sentence) {
            super(sentence);
            this.reason = reason;
        }
    }

    /** The vault cannot be opened: a wrong password, or account data damaged or unreasonable. */
    public static final class AccountException extends IOException {
        private static final long serialVersionUID = 1;

        AccountException(String sentence) {
            super(sentence);
        }
    }

    // ---- Bytes -----------------------------------------------------------------------------------

    static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] random(int size) {
        byte[] bytes = new byte[size];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    static byte[] concat(byte[]... pieces) {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        for (byte[] piece : pieces) {
            whole.writeBytes(piece);
        }
        return whole.toByteArray();
    }

    // ---- Keys: section 2 -------------------------------------------------------------------------

    static byte[] hmac(byte[] key, byte[] message) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(message);
    }

    /** HKDF-SHA256, 32 bytes: extract, then the one block of expand that this length needs (section 2). */
    static byte[] hkdf(byte[] key, byte[] info, byte[] salt) throws GeneralSecurityException {
        byte[] pseudorandomKey = hmac(salt, key);
        return hmac(pseudorandomKey, concat(info, new byte[] {1}));
    }

    /** HKDF with an empty salt, which RFC 5869 defines as a key of 32 zero bytes. */
    static byte[] hkdf(byte[] key, String info) throws GeneralSecurityException {
        return hkdf(key, ascii(info), new byte[32]);
    }

    static byte[] gcm(int mode, byte[] key, byte[] nonce, byte[] input, byte[] associated)
            throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(8 * TAG_SIZE, nonce));
        cipher.updateAAD(associated);
        return cipher.doFinal(input);
    }

    /**
     * What register or login returned, as far as recordings need it.
     *
     * @param keySalt the 64 hex digits as received, since one reading of the salt takes them as text
     */
    public record Account(String userId, String keySalt, Map<?, ?> vault) {
        static Account read(Path file) throws IOException {
            try {
                Map<?, ?> account = (Map<?, ?>) Json.parse(Files.readString(file));
                String userId = (String) account.get("user_id");
                String keySalt = (String) account.get("key_salt");
                if (userId != null && keySalt != null) {
                    return new Account(userId, keySalt, (Map<?, ?>) account.get("vault"));
                }
            } catch (ClassCastException | IllegalArgumentException | CharacterCodingException damaged) {
                // Told below, like an account without its fields.
            }
            throw new IllegalArgumentException(
                    file + " does not hold what register or login returned; log in anew");
        }
    }

    /** The key-encryption key, 32 bytes: Argon2id over the password in UTF-8 (section 2.1). */
    static byte[] deriveKek(String password, Map<?, ?> kdf) throws AccountException {
        long timeCost = (Long) kdf.get("time_cost");
        long memory = (Long) kdf.get("memory_cost_kib");
        long lanes = (Long) kdf.get("parallelism");
        byte[] salt = HexFormat.of().parseHex((String) kdf.get("salt"));
        // Neither so costly that they exhaust the device, nor so cheap that guessing becomes easy.
        Map<Long, Long> leastMemory = Map.of(1L, 47104L, 2L, 19456L, 3L, 12288L, 4L, 9216L);
        boolean reasonable =
                "argon2id".equals(kdf.get("algorithm"))
                        && Long.valueOf(19).equals(kdf.get("version"))
                        && timeCost >= 1
                        && timeCost <= 20
                        && memory >= leastMemory.getOrDefault(timeCost, 7168L)
                        && memory <= 1024 * 1024
                        && lanes >= 1
                        && lanes <= 16
                        && salt.length == KEY_SIZE;
        if (!reasonable) {
            throw new AccountException("The account's Argon2id parameters are not ones this client accepts");
        }
        Argon2BytesGenerator argon2 = new Argon2BytesGenerator();
        argon2.init(
                new Argon2Parameters.Builder(Argon2Parameters.ARGON2_id)
                        .withVersion(Argon2Parameters.ARGON2_VERSION_13)
                        .withIterations((int) timeCost)
                        .withMemoryAsKB((int) memory)
                        .withParallelism((int) lanes)
                        .withSalt(salt)
                        .build());
        byte[] kek = new byte[KEY_SIZE];
        argon2.generateBytes(utf8(password), kek);
        return kek;
    }

    /** An opened vault: its public name of 16 bytes, and the key that wraps file keys (section 2.3). */
    public static final class Vault {
        final byte[] keyId;
        final byte[] wrappingKey;

        private Vault(byte[] keyId, byte[] wrappingKey) {
            this.keyId = keyId;
            this.wrappingKey = wrappingKey;
        }

        /** Unwrap the vault key with the password (sections 2.2 and 2.3). */
        public static Vault open(Account account, String password)
                throws IOException, GeneralSecurityException {
            byte[] wrapped;
            byte[] named;
            byte[] kek;
            try {
                if (!Long.valueOf(1).equals(account.vault().get("version"))) {
                    throw new AccountException(
                            "This client does not know this version of vault; please update it");
                }
                wrapped = Base64.getDecoder().decode((String) account.vault().get("wrapped_key"));
                named = HexFormat.of().parseHex((String) account.vault().get("key_id"));
                kek = deriveKek(password, (Map<?, ?>) account.vault().get("kdf"));
            } catch (ClassCastException | IllegalArgumentException | NullPointerException damaged) {
                throw new AccountException("The account's vault cannot be read");
            }
            if (wrapped.length != NONCE_SIZE + KEY_SIZE + TAG_SIZE) {
                throw new AccountException("The account's vault cannot be read");
            }
            byte[] nonce = Arrays.copyOf(wrapped, NONCE_SIZE);
            byte[] sealed = Arrays.copyOfRange(wrapped, NONCE_SIZE, wrapped.length);
            byte[] associated = ascii("panzoto/v2/vault" + account.userId());
            byte[] vaultKey;
            try {
                vaultKey = gcm(Cipher.DECRYPT_MODE, kek, nonce, sealed, associated);
            } catch (AEADBadTagException wrong) {
                throw new AccountException("The password does not open this account's vault");
            }
            byte[] keyId = Arrays.copyOf(hkdf(vaultKey, "panzoto/v2/key-id"), 16);
            if (!MessageDigest.isEqual(keyId, named)) {
                throw new AccountException("The vault key does not have the name the account gives it");
            }
            Vault vault = new Vault(keyId, hkdf(vaultKey, "panzoto/v2/wrap"));
            Arrays.fill(vaultKey, (byte) 0);
            return vault;
        }
    }

    /** The key of single-shot recordings; {@code hexSalt}: the salt's 64 digits as text (section 2.4). */
    static byte[] directKey(Account account, String password, boolean hexSalt) throws GeneralSecurityException {
        byte[] salt = hexSalt ? ascii(account.keySalt()) : HexFormat.of().parseHex(account.keySalt());
        PBEKeySpec spec = new PBEKeySpec(password.toCharArray(), salt, PBKDF2_ITERATIONS, 8 * KEY_SIZE);
        return SecretKeyFactory.getInstance("PBKDF2WithHmacSHA256").generateSecret(spec).getEncoded();
    }

    // ---- Version 2 recordings: section 3 ---------------------------------------------------------

    static byte[] commitment(byte[] fileKey, byte[] start) throws GeneralSecurityException {
        return hkdf(fileKey, concat(ascii("panzoto/v2/commit"), start), new byte[32]);
    }

    /** The 128 bytes before the segment stream (section 3.1). */
    static byte[] makeHeader(Vault vault, byte[] fileKey) throws GeneralSecurityException {
        byte[] start = concat(MAGIC, new byte[] {SUITE, 0}, vault.keyId);
        byte[] nonce = random(NONCE_SIZE);
        byte[] sealed = gcm(Cipher.ENCRYPT_MODE, vault.wrappingKey, nonce, fileKey, start);
        byte[] wrapped = concat(start, nonce, sealed);
        return concat(wrapped, commitment(fileKey, wrapped), new byte[14]);
    }

    /** Check the header in the order of section 3.4 and return the file key. */
    static byte[] openHeader(Vault vault, byte[] header) throws RecordingException, GeneralSecurityException {
        if (header.length < HEADER_SIZE) {
            throw new RecordingException("length", "The recording is too short to be one");
        }
        if (!Arrays.equals(header, 0, 4, MAGIC, 0, 4) || header[4] != SUITE) {
            throw new RecordingException("suite", "The recording is of a kind this client does not know");
        }
        if (header[5] != 0) {
            throw new RecordingException("flags", "The recording asks for a feature this client does not know");
        }
        if (!Arrays.equals(header, 114, HEADER_SIZE, new byte[14], 0, 14)) {
            throw new RecordingException(
                    "reserved", "The recording uses header bytes this client does not know");
        }
        if (!MessageDigest.isEqual(Arrays.copyOfRange(header, 6, 22), vault.keyId)) {
            throw new RecordingException("key_id", "The recording belongs to another vault");
        }
        byte[] fileKey;
        try {
            byte[] nonce = Arrays.copyOfRange(header, 22, 34);
            byte[] wrapped = Arrays.copyOfRange(header, 34, 82);
            fileKey = gcm(Cipher.DECRYPT_MODE, vault.wrappingKey, nonce, wrapped, Arrays.copyOf(header, 22));
        } catch (AEADBadTagException damaged) {
            throw new RecordingException("wrapped_key", "The recording's key is damaged");
        }
        byte[] committed = Arrays.copyOfRange(header, 82, 114);
        if (!MessageDigest.isEqual(commitment(fileKey, Arrays.copyOf(header, 82)), committed)) {
            throw new RecordingException(
                    "commitment", "The recording's key is not the one it was written with");
        }
        return fileKey;
    }

    /** Seals and opens single segments of one recording (section 3.2). */
    static final class SegmentCipher {
        private final Cipher cipher;
        private final SecretKeySpec key;
        private final byte[] prefix;

        SegmentCipher(byte[] fileKey, byte[] header, String s3Key, byte[] salt, byte[] prefix)
                throws GeneralSecurityException {
            byte[] keyValue = hkdf(fileKey, "panzoto/v2/stream");
            this.key = new SecretKeySpec(hkdf(keyValue, concat(header, utf8(s3Key)), salt), "AES");
            this.cipher = Cipher.getInstance("AES/GCM/NoPadding");
            this.prefix = prefix;
        }

        byte[] seal(long number, boolean last, byte[] plain) throws GeneralSecurityException {
            cipher.init(Cipher.ENCRYPT_MODE, key, nonce(number, last));
            return cipher.doFinal(plain);
        }

        byte[] open(long number, boolean last, byte[] sealed)
                throws RecordingException, GeneralSecurityException {
            try {
                cipher.init(Cipher.DECRYPT_MODE, key, nonce(number, last));
                return cipher.doFinal(sealed);
            } catch (AEADBadTagException damaged) {
                throw new RecordingException("segment", "Segment " + number + " of the recording is damaged");
            }
        }

        private GCMParameterSpec nonce(long number, boolean last) {
            ByteBuffer nonce = ByteBuffer.allocate(NONCE_SIZE);
            nonce.put(prefix).putInt((int) number).put((byte) (last ? 1 : 0));
            return new GCMParameterSpec(8 * TAG_SIZE, nonce.array());
        }
    }

    /**
     * Write a version 2 recording, holding two segments at most (section 3.3).
     *
     * <p>Each call makes fresh keys, so a repeated upload shares nothing with the first.
     */
    public static void encrypt(Vault vault, String s3Key, InputStream source, OutputStream target)
            throws IOException, GeneralSecurityException {
        byte[] fileKey = random(KEY_SIZE);
        byte[] header = makeHeader(vault, fileKey);
        byte[] salt = random(STREAM_SALT_SIZE);
        byte[] prefix = random(NONCE_PREFIX_SIZE);
        SegmentCipher cipher = new SegmentCipher(fileKey, header, s3Key, salt, prefix);
        target.write(concat(header, new byte[] {STREAM_HEADER_SIZE}, salt, prefix));
        byte[] plain = source.readNBytes(FIRST_SEGMENT_PLAIN);
        boolean last = false;
        for (long number = 0; !last; number++) {
            // Only the next read tells whether this segment is the last, and its nonce says so.
            byte[] following = source.readNBytes(SEGMENT_PLAIN);
            last = following.length == 0;
            target.write(cipher.seal(number, last, plain));
            plain = following;
        }
    }

    /**
     * Random access to a version 2 recording (sections 3.4 and 3.5).
     *
     * <p>Opening authenticates the header and the last segment; after that {@code length}, in bytes of
     * plain audio, is proven.
     */
    public static final class Reader {
        final long length;
        private final FileChannel source;
        private final SegmentCipher cipher;
        private final long streamSize;
        private final long last;

        public Reader(Vault vault, String s3Key, FileChannel source)
                throws IOException, GeneralSecurityException {
            this.source = source;
            byte[] header = bytesAt(0, (int) Math.min(HEADER_SIZE, source.size()));
            byte[] fileKey = openHeader(vault, header);
            streamSize = source.size() - HEADER_SIZE;
            if (streamSize < STREAM_HEADER_SIZE + TAG_SIZE) {
                throw new RecordingException("length", "The recording is cut off");
            }
            byte[] streamHeader = bytesAt(HEADER_SIZE, STREAM_HEADER_SIZE);
            if (streamHeader[0] != STREAM_HEADER_SIZE) {
                throw new RecordingException(
                        "stream_header", "The recording's segment stream does not begin as one");
            }
            byte[] salt = Arrays.copyOfRange(streamHeader, 1, 1 + STREAM_SALT_SIZE);
            byte[] prefix = Arrays.copyOfRange(streamHeader, 1 + STREAM_SALT_SIZE, STREAM_HEADER_SIZE);
            cipher = new SegmentCipher(fileKey, header, s3Key, salt, prefix);
            last = (streamSize - 1) / SEGMENT_SIZE;
            if (last > 0 && streamSize - last * SEGMENT_SIZE <= TAG_SIZE) {
                throw new RecordingException("length", "The recording is cut off");
            }
            length = streamSize - STREAM_HEADER_SIZE - TAG_SIZE * (last + 1);
            segment(last);
        }

        /** Write plain bytes {@code start} to {@code stop} (not included), authenticated segments only. */
        public void read(long start, long stop, OutputStream target)
                throws IOException, GeneralSecurityException {
            long end = Math.min(stop, length);
            while (start < end) {
                // The stream header takes the place of 40 plain bytes in segment 0, so shifting every
                // plain offset by 40 makes all segments equally long.
                long number = (start + STREAM_HEADER_SIZE) / SEGMENT_PLAIN;
                int skip = (int) (number == 0 ? start : (start + STREAM_HEADER_SIZE) % SEGMENT_PLAIN);
                byte[] plain = segment(number);
                int count = (int) Math.min(plain.length - skip, end - start);
                target.write(plain, skip, count);
                start += count;
            }
        }

        private byte[] segment(long number) throws IOException, GeneralSecurityException {
            long start = number == 0 ? STREAM_HEADER_SIZE : number * SEGMENT_SIZE;
            long stop = Math.min((number + 1) * SEGMENT_SIZE, streamSize);
            return cipher.open(number, number == last, bytesAt(HEADER_SIZE + start, (int) (stop - start)));
        }

        private byte[] bytesAt(long offset, int count) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(count);
            while (bytes.hasRemaining()) {
                if (source.read(bytes, offset + bytes.position()) < 0) {
                    throw new RecordingException("length", "The recording is cut off");
                }
            }
            return bytes.array();
        }
    }

    // ---- Single-shot recordings: section 4 -------------------------------------------------------
    // javax.crypto gives out nothing of an AES-GCM text before its tag was checked, and so holds all of
    // it in memory. New recordings are version 2, and old long ones are better played through the
    // service (section 6).

    /** One of the four variants in the field. */
    record Variant(int ivSize, boolean hexSalt) {
        static final List<Variant> ALL =
                List.of(
                        new Variant(12, false),
                        new Variant(16, false),
                        new Variant(12, true),
                        new Variant(16, true));

        String format() {
            return "single-iv" + ivSize + (hexSalt ? "-hex-salt" : "-raw-salt");
        }

        static Variant named(String format) {
            return ALL.stream()
                    .filter(variant -> variant.format().equals(format))
                    .findFirst()
                    .orElseThrow(() -> new IllegalArgumentException("There is no format " + format));
        }
    }

    /** Write a single-shot recording as phones in the field do. */
    static byte[] encryptSingle(Account account, String password, Variant variant, byte[] plain)
            throws GeneralSecurityException {
        byte[] iv = random(variant.ivSize());
        byte[] key = directKey(account, password, variant.hexSalt());
        return concat(iv, gcm(Cipher.ENCRYPT_MODE, key, iv, plain, new byte[0]));
    }

    /** A variant that opened, and the plain bytes. */
    record Opened(String format, byte[] plain) {}

    /** Try the four variants; only the tag tells which it is. */
    static Opened decryptSingle(Account account, String password, byte[] object)
            throws RecordingException, GeneralSecurityException {
        for (Variant variant : Variant.ALL) {
            if (object.length < variant.ivSize() + TAG_SIZE) {
                continue;
            }
            byte[] key = directKey(account, password, variant.hexSalt());
            byte[] iv = Arrays.copyOf(object, variant.ivSize());
            byte[] sealed = Arrays.copyOfRange(object, variant.ivSize(), object.length);
            try {
                byte[] plain = gcm(Cipher.DECRYPT_MODE, key, iv, sealed, new byte[0]);
                return new Opened(variant.format(), plain);
            } catch (AEADBadTagException another) {
                continue;
            }
        }
        throw new RecordingException("tag", "The recording is damaged, or was made with another password");
    }

    // ---- JSON ------------------------------------------------------------------------------------

    /**
     * Just enough JSON to read an account, since the Java library has none. On Android use org.json.
     * Objects become maps, arrays lists, whole numbers Long, and other numbers Double.
     */
    static final class Json {
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Object parse(String text) {
            Json json = new Json(text);
            Object value = json.value();
            if (json.next() != 0) {
                throw new IllegalArgumentException("text after the JSON value");
            }
            return value;
        }

        /** The next character that is not white space, or 0 at the end. */
        private char next() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            return at < text.length() ? text.charAt(at) : 0;
        }

        private boolean take(char wanted) {
            if (next() != wanted) {
                return false;
            }
            at++;
            return true;
        }

        private void expect(char wanted) {
            if (!take(wanted)) {
                throw new IllegalArgumentException("no " + wanted + " at " + at);
            }
        }

        private Object value() {
            return switch (next()) {
                case '{' -> object();
                case '[' -> array();
                case '"' -> string();
                default -> word();
            };
        }

        private Map<String, Object> object() {
            Map<String, Object> object = new LinkedHashMap<>();
            expect('{');
            if (take('}')) {
                return object;
            }
            do {
                next();
                String name = string();
                expect(':');
                object.put(name, value());
            } while (take(','));
            expect('}');
            return object;
        }

        private List<Object> array() {
            List<Object> array = new ArrayList<>();
            expect('[');
            if (take(']')) {
                return array;
            }
            do {
                array.add(value());
            } while (take(','));
            expect(']');
            return array;
        }

        private String string() {
            expect('"');
            StringBuilder string = new StringBuilder();
            while (at < text.length()) {
                char character = text.charAt(at++);
                if (character == '"') {
                    return string.toString();
                }
                string.append(character == '\\' ? escaped() : character);
            }
            throw new IllegalArgumentException("a string without an end");
        }

        private char escaped() {
            if (at >= text.length()) {
                throw new IllegalArgumentException("a string without an end");
            }
            char character = text.charAt(at++);
            if (character == 'u' && at + 4 <= text.length()) {
                at += 4;
                return (char) Integer.parseInt(text.substring(at - 4, at), 16);
            }
            int known = "\"\\/bfnrt".indexOf(character);
            if (known < 0) {
                throw new IllegalArgumentException("an unknown escape at " + at);
            }
            return "\"\\/\b\f\n\r\t".charAt(known);
        }

        private Object word() {
            int start = at;
            while (at < text.length() && "{}[],:\" \t\r\n".indexOf(text.charAt(at)) < 0) {
                at++;
            }
            String word = text.substring(start, at);
            return switch (word) {
                case "true" -> true;
                case "false" -> false;
                case "null" -> null;
                default -> number(word);
            };
        }

        private static Number number(String word) {
            if (word.matches("-?[0-9]{1,18}")) {
                return Long.valueOf(word);
            }
            return Double.valueOf(word);
        }
    }

    // ---- The command line ------------------------------------------------------------------------

    /** One account and its password; opens the vault once, when something first needs it. */
    private static final class Keys {
        final Account account;
        final String password;
        private Vault vault;

        Keys(Account account, String password) {
            this.account = account;
            this.password = password;
        }

        Vault vault() throws IOException, GeneralSecurityException {
            if (vault == null) {
                vault = Vault.open(account, password);
            }
            return vault;
        }
    }

    private interface Writing {
        void to(OutputStream target) throws IOException, GeneralSecurityException;
    }

    /** Write a file that appears under its name only when it is complete, readable by its owner only. */
    private static void writeWhole(Path path, Writing writing) throws IOException, GeneralSecurityException {
        Path folder = path.toAbsolutePath().getParent();
        Path draft = Files.createTempFile(folder, "." + path.getFileName(), null);
        try {
            try (OutputStream target = Files.newOutputStream(draft)) {
                writing.to(target);
            }
            Files.move(draft, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(draft);
        }
    }

    private static final String RANGE_WANTED = "A range is written first-last, such as 0-65535, or first-";

    /** One job: verb, object key or variant, input, output and perhaps a range; returns the format. */
    private static String runJob(Keys keys, String[] words) throws IOException, GeneralSecurityException {
        Path input = Path.of(words[2]);
        Path output = Path.of(words[3]);
        switch (words[0]) {
            case "encrypt":
                try (InputStream source = Files.newInputStream(input)) {
                    Vault vault = keys.vault();
                    writeWhole(output, target -> encrypt(vault, words[1], source, target));
                }
                return "v2";
            case "encrypt-single":
                Variant variant = Variant.named(words[1]);
                byte[] object = encryptSingle(keys.account, keys.password, variant, Files.readAllBytes(input));
                writeWhole(output, target -> target.write(object));
                return variant.format();
            case "decrypt":
                return decrypt(keys, words[1], input, output, words.length > 4 ? words[4] : "");
            default:
                throw new IllegalArgumentException("There is no verb " + words[0]);
        }
    }

    private static String decrypt(Keys keys, String s3Key, Path input, Path output, String range)
            throws IOException, GeneralSecurityException {
        // A range is first-last, both included as in HTTP, or first-.
        if (!range.matches("([0-9]{1,18}-([0-9]{1,18})?)?")) {
            throw new IllegalArgumentException(RANGE_WANTED);
        }
        String[] ends = range.split("-", 2);
        long start = range.isEmpty() ? 0 : Long.parseLong(ends[0]);
        long stop = range.isEmpty() || ends[1].isEmpty() ? Long.MAX_VALUE : Long.parseLong(ends[1]) + 1;
        if (stop <= start) {
            throw new IllegalArgumentException(RANGE_WANTED);
        }
        try (FileChannel source = FileChannel.open(input)) {
            ByteBuffer magic = ByteBuffer.allocate(MAGIC.length);
            source.read(magic, 0);
            if (Arrays.equals(magic.array(), MAGIC)) {
                Reader reader = new Reader(keys.vault(), s3Key, source);
                writeWhole(output, target -> reader.read(start, stop, target));
                return "v2";
            }
        }
        Opened opened = decryptSingle(keys.account, keys.password, Files.readAllBytes(input));
        int from = (int) Math.min(start, opened.plain().length);
        int to = (int) Math.min(stop, opened.plain().length);
        writeWhole(output, target -> target.write(opened.plain(), from, Math.max(0, to - from)));
        return opened.format();
    }

    /** Run the jobs of a manifest, one line each, words separated by tabs; one line of result for each. */
    private static void runBatch(Keys keys, Path manifest, PrintStream out)
            throws IOException, GeneralSecurityException {
        for (String line : Files.readAllLines(manifest)) {
            String[] words = line.split("\t", -1);
            try {
                out.println("ok\t" + words[3] + "\t" + runJob(keys, words));
            } catch (RecordingException refused) {
                out.println("refused\t" + words[3] + "\t" + refused.reason);
            }
        }
    }

    private static String readPassword(String passwordFile) throws IOException {
        if (passwordFile != null) {
            List<String> lines = Files.readAllLines(Path.of(passwordFile));
            return lines.isEmpty() ? "" : lines.get(0);
        }
        if (System.getenv("PANZOTO_PASSWORD") != null) {
            return System.getenv("PANZOTO_PASSWORD");
        }
        Console console = System.console();
        char[] typed = console == null ? null : console.readPassword("Password: ");
        if (typed == null) {
            throw new AccountException("The password is missing");
        }
        return new String(typed);
    }

    private static void run(String[] arguments, PrintStream out) throws IOException, GeneralSecurityException {
        Map<String, String> options = new LinkedHashMap<>();
        List<String> names = new ArrayList<>();
        for (int i = 0; i < arguments.length; i++) {
            if (arguments[i].startsWith("--") && i + 1 < arguments.length) {
                options.put(arguments[i].substring(2), arguments[++i]);
            } else {
                names.add(arguments[i]);
            }
        }
        String verb = names.isEmpty() ? "" : names.get(0);
        boolean known = List.of("encrypt", "decrypt", "encrypt-single", "batch").contains(verb);
        boolean needsKey = verb.equals("encrypt") || verb.equals("decrypt");
        if (!known
                || names.size() != (verb.equals("batch") ? 2 : 3)
                || !options.containsKey("account")
                || (needsKey && !options.containsKey("s3-key"))) {
            throw new IllegalArgumentException(
                    "usage: Panzoto encrypt|decrypt --account FILE --s3-key KEY [--range FIRST-LAST] IN OUT,"
                            + " encrypt-single --account FILE [--format FORMAT] IN OUT,"
                            + " or batch --account FILE MANIFEST");
        }
        Account account = Account.read(Path.of(options.get("account")));
        Keys keys = new Keys(account, readPassword(options.get("password-file")));
        if (verb.equals("batch")) {
            runBatch(keys, Path.of(names.get(1)), out);
            return;
        }
        String format = options.getOrDefault("format", "single-iv12-raw-salt");
        String second = needsKey ? options.get("s3-key") : format;
        String[] words = {verb, second, names.get(1), names.get(2), options.getOrDefault("range", "")};
        out.println(runJob(keys, words) + "\t" + names.get(2));
    }

    /** See the top of the file. Exits with 1 when something does not open, 2 when called wrongly. */
    public static void main(String[] arguments) throws GeneralSecurityException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        try {
            run(arguments, out);
        } catch (IllegalArgumentException misuse) {
            System.err.println("panzoto: " + misuse.getMessage());
            System.exit(2);
        } catch (IOException failure) {
            System.err.println("panzoto: " + failure.getMessage());
            System.exit(1);
        }
    }
}
