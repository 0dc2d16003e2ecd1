"""Function and question words per language: what carries a question and not its topic.

The lists are short on purpose and written for this project. They serve twice: queries drop these words, and the language of
a document is told by which list its words are on. Data only; looking up and comparing is the business of the callers.
"""

from __future__ import annotations

import functools

_WORDS = {
    "ar": """
        أما أن أو أي أين إذا إلى إن الا التى التي الذى الذي الذين الى ان او اي اين بعد بعض به بها بين تكون
        تم ثم حتى حيث خلال ذلك سوف على عن عند عندما غير في فيه فيها قبل قد كان كانت كانوا كل كم كما كيف لأن
        لا لان لدى لقد لكن لم لماذا لن له لها لهم ليس ما ماذا متى مع من منذ منه منها نحو هذا هذه هل هم هنا
        هناك هو هي و وقد وكان ولا ولم ومن وهو وهي يكون
    """,
    "bg": """
        а ако бе беше би бил била били в все във го да дали до е за защо и из или им има как каква какво
        какъв кога когато кого което които кой който колко коя която къде ли между ми много мнозина му на
        най не него неговата нея ни но някои от по повече под при с са само се си слад след съм със също
        тази такива там те тези то това този той толкова тук тя че ще я
    """,
    "bn": """
        অথবা আছে আপনি আমরা আমি আর ই উপর এ এই এক একটা একটি এবং এর এরা ও ওই কখন কত কবে কয়টি করা করে করেছিলেন
        করেন কাকে কার কি কিন্তু কিভাবে কী কীভাবে কে কেন কোথায় কোন ছিল ছিলেন জন্য তা তাঁর তাদের তার তারা
        তাহলে তিনি থেকে দিয়ে দ্বারা না নাম নেই পর পর্যন্ত বা মধ্যে যখন যদি যা যে সঙ্গে সব সাথে সে সেই হতে
        হবে হয় হয়ে হয়েছিল হয়েছে হল
    """,
    "ca": """
        a això al allò als amb aquell aquella aquest aquesta aquestes aquests aquí com de del dels des
        durant el ella elles ells els en entre era eren es esta està et fins fou ha han haver hi ho i jo la
        les li llur lo molt més na ni no nos nosaltres o on pel pels per perquè però quan quant quanta
        quantes quants que qui quin quina quines quins què sense ser seu seus seva seves si sobre són també
        tan te tenen tenir tot tots té un una unes uns va van vostè és
    """,
    "cs": """
        a aby ale ani ano asi až bez bude budou by byl byla byli bylo být co což další do ho i ja jak jako
        jaká jaké jaký je jeho jej jejich její jen jenž ještě již jsem jsi jsme jsou jste já k kam kde kdo
        kdy když ke kolik která které který kteří ku mají mezi mi mu my má mít na nad ne nebo není než nich
        o od on ona oni ono pak po pod podle pokud pouze pro proto protože proč před při s se si svou své
        svého svůj tak také tato te tedy ten tento to toho tom tomu tuto ty této tím u už v ve však z za ze
        či že
    """,
    "da": """
        af alle at bare blev blive bliver da de dem den denne der deres det dette dig din disse dog du efter
        eller en end er et for fra få ham han hans har havde have hende hendes her hos hun hvad hvem hver
        hvilke hvilken hvilket hvis hvor hvordan hvorfor hvorhen hvornår i ikke ind jeg jer kan kun kunne
        man mange med meget mellem men mig min mod nogen noget nogle nu når og også om op os over på samt
        sig sin sine sit skal skulle som så til ud under var ved vi vil ville være været
    """,
    "de": """
        aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch
        auf aus bei beim bin bis bist bitte da dabei dadurch damit dann das dass dazu daß dein deine dem den
        denen denn der deren des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du
        durch ein eine einem einen einer eines er es etwas euch euer für gab gegen gibt hab habe haben hat
        hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im in ins ist ja
        jede jedem jeden jeder jedes jener jetzt kann kein keine keinem keinen keiner können könnte man mein
        meine mich mir mit muss müssen nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem
        seinen seiner seines seit selbst sich sie sind so solche solchem solchen solcher soll sollte sondern
        sonst um und uns unser unter viel viele vom von vor wann war waren warum was weil welche welchem
        welchen welcher welches wem wen wenn wer werde werden weshalb wessen wie wieso wieviel will wir wird
        wo wobei wodurch woher wohin womit worauf worin worüber wovon wozu wurde wurden während wäre würde
        zu zum zur zwischen über
    """,
    "el": """
        ένα έναν ένας έχει έχουν ήταν αλλά αν από αυτά αυτές αυτή αυτήν αυτής αυτοί αυτού αυτούς αυτό αυτός
        αυτών για γιατί δε δεν εάν είναι είχαν είχε εις εκ ενός ενώ επί η θα κάθε και κατά κι μέσα μέχρι μία
        μας με μετά μη μην μια μιας μου να ο οι ού πιο ποιά ποια ποιες ποιο ποιοι ποιον ποιος ποιου ποιους
        ποιων ποιό ποιός που πού πριν προς πως πόσα πόσες πόση πόσο πόσοι πόσος πότε πώς σαν σας σε στα στη
        στην στης στις στο στον στου στους συν τα τη την της τι τις το τον του τους των ως όμως όπου όπως
        όταν ότι ώστε
    """,
    "en": """
        a about after again all also am an and any are aren't as at be because been before being between
        both but by can can't could couldn't describe did didn't do does doesn't doing don't during each
        explain few for from give had hadn't has hasn't have haven't having he her hers him his how i i'd
        i'll i'm i've if in into is isn't it its itself just may me might more most must my no nor not of
        off on once only or other our ours out over own please same shall she should shouldn't so some such
        tell than that the their theirs them then there these they they'll they're they've this those
        through to too under until up upon us very was wasn't we we'll we're we've were weren't what what're
        when where which while who who're who've whom whose why will with won't would wouldn't you you'd
        you'll you're you've your yours
    """,
    "es": """
        a al algo algunas algunos ante antes aquel aquella como con contra cual cuales cuando cuál cuáles
        cuándo cuánta cuántas cuánto cuántos de del desde donde durante dónde e el ella ellas ellos en entre
        era eran es esa esas ese eso esos esta estaba estaban estado estar estas este esto estos está están
        fue fueron ha haber había habían han has hasta hay la las le les lo los me mi mis mucho muchos muy
        más nada ni no nos nosotros o os otra otras otro otros para pero poco por porque pues que quien
        quienes quién quiénes qué se sea según ser si sido sin sobre son su sus sí también tanto te tenía
        tiene tienen todo todos tras tu tus u un una unas uno unos usted y ya yo él
    """,
    "et": """
        aga edasi ega ehk ei enne et ja ju ka kas keda kelle kellele kes kuhu kui kuid kuidas kuna kus kust
        kõik ma me mida miks mil millal mille millest milline millise millised minu mis mitte mitu nad need
        neid nende nii ning nüüd oleks olema oli olid olla oma on pole pärast sa seda see selle selles sest
        siin siis ta te teda tema vaid veel väga või üks üle
    """,
    "eu": """
        al ala arte asko bai baina baino bat batean batzuk berak bere bezala da dago daude den dira ditu du
        dute edo egin ere eta ez ezin gabe gu hala han hau hauek hemen hori horiek izan ni noiz nola non nor
        noren nori nork orain oso zein zen zenbat zer zergatik ziren zituen zu zuen zuten
    """,
    "fa": """
        آن آنها آیا از است اند او اگر ای این اینکه با باید بر برای بسیار بعد به بود بودند بوده بین تا تر
        ترین جز حتی خواهد خود داد دارد دارند داشت در دو دیگر را روی زیر سپس شد شدند شده شما شود ما من می نیز
        نیست ها های هر هست هستند هم همه همچنین هیچ و ولی وی پس پیش چرا چطور چند چه چون چگونه کجا کدام کرد
        کردند کرده کسی کند کنند که کی یا یک
    """,
    "fi": """
        ei eikä eivät ennen että he heidän heitä hän hänen häntä ja jo joiden joissa joita joka jolla jonka
        jos jossa josta jota jotka jotta kanssa kautta keiden keitä keneltä kenen ketkä ketä koska kuin
        kuinka kuka kumpi kun me mihin miksi mikä mikäli mikään millainen millaista milloin millä minkä minä
        missä mistä miten mitkä mitä moni monta mukaan mutta myös ne niiden niin niissä niitä noin nyt
        näiden näitä nämä ole oli oliko olivat olla olleet ollut on onko ovat ovatko saakka se sekä sen
        siellä sieltä siinä siitä sillä sinä sitä tai te tämä tämän tässä tästä tätä vaan vai vain voi
        voidaan voivat vuoksi yli
    """,
    "fr": """
        afin ai ainsi alors après au aucun aucune aussi autre autres aux avaient avait avant avec avez avoir
        c' car ce ceci cela celle celles celui ces cet cette ceux chaque chez ci combien comme comment d'
        dans de depuis des donc dont du dès elle elles en encore entre es est et eu eut eux fait furent fut
        il ils j' je jusqu' jusque l' la le les leur leurs lors lorsque lui là m' ma mais me mes moi moins
        mon même n' ne ni non nos notre nous on ont ou où par parce pas pendant peut peuvent plus pour
        pourquoi près puis qu' quand que quel quelle quelles quelqu' quels qui quoi s' sa sans se selon sera
        ses si soit son sont sous sur t' ta te tes toi ton tous tout toute toutes très tu un une vers voici
        vos votre vous y à étaient était été être
    """,
    "ga": """
        a ach ag agus an ann anois ar arna as ba bhfuil bhí cad cathain cathair chuig conas cá cé céard cén
        de den do don dá ea faoi fuair ga gach gan gcuid go iad idir is le leis liom mar mo mé na nach nuair
        ná ní níl nó os píos roimh sa san seo siad sibh sin sinn sé sí thar thart trí tá tú um é í ó ón
    """,
    "he": """
        אבל או אותה אותו אז אחד אחר אחרי אחת איזה איזו איך אילו אין איפה אך אל אלה אלו אם אנחנו אני את אתה ב
        בה בו בין גם דרך ה האם הוא הזאת הזה היא היה היו הייתה היכן היתה הם הן זאת זה זו יותר יש כאשר כדי כי
        כיצד כך כל כמה כמו כן ל לא לאחר לאן לה להיות לו לכן למה לפי לפני מ מאוד מאין מדוע מה מי מן מתי עד
        עוד על עם שהוא שהיא של שם תחת
    """,
    "hi": """
        अपना अपनी अपने आदि आप इन इनका इस इसका इसकी इसके इसमें इसी इसे उन उनका उनकी उनके उनको उन्हें उन्होंने
        उस उसका उसकी उसके उसने उसमें उसे एक एवं ऐसा ऐसे ओर और कई कब कर करके करता करते करना करने कहा कहाँ
        कहां का काफी कि कितना कितनी कितने किन किया किस किसका किसकी किसके किसने किसी किसे की कुछ के कैसा कैसी
        कैसे को कोई कौन कौनसा कौनसी क्या क्यों क्योंकि गई गए गया चाहिए जब जहाँ जाता जाती जाते जाना जिन जिस
        जिसका जिसकी जिसके जिसमें जिसे जैसे जो तक तथा तब तो था थी थीं थे दिया दी द्वारा न नहीं ने पर परंतु
        पास फिर बहुत बाद भी मगर मुझे में मैं यदि यह यहाँ यही या ये रहा रही रहे लिए लेकिन व वह वहाँ वाला वाली
        वाले वे सकता सकती सकते सब सभी साथ से सो हम हमारे ही हुआ हुई हुए हूँ है हैं हो होता होती होते होना
        होने
    """,
    "hu": """
        a abban ahhoz ahogy ahol aki akik akit amely amelyek amelyet ami amikor arra arról az azok azon
        azonban azt aztán azzal azért be bele benne csak de e ebben egy egyes egyik egyéb el ellen elő erre
        ez ezek ezt ezzel fel felé ha hanem hogy hogyan hol honnan hová hány hányan illetve is ismét itt
        kell keresztül ki kik kinek kit között le lehet lesz lett maga magát meg mellett mely melyek melyik
        melyiket mennyi mert mi miatt mikor milyen minden mindig mint mit mivel miért most már még nagyon
        nem nincs olyan pedig s saját sem semmi sok szerint számára tehát ti után utána vagy vagyok valaki
        valami van vannak vele volna volt voltak át én és össze újra ő ők
    """,
    "hy": """
        այդ այլ այն այս դու դուք եմ են ենք ես երբ եք է էի էին էիր էր ըստ թ թե ի ին ինչ ինչու ինչպես իսկ իր
        կամ համար հետ հետո մենք մեջ մի մոտ ն նա նաեւ նրա նրանք ով որ որը որոնք որպես որտեղ ու ում պիտի վրա
        քանի եւ
    """,
    "id": """
        ada adalah agar akan anda antara apa apabila apakah atas atau bagaimana bagi bahwa banyak beberapa
        belum berapa bila bisa bukan dalam dan dapat dari daripada dengan di dia dimana hal hanya hingga ia
        ialah ini itu jika juga kami kapan kapankah karena kata kau ke kepada ketika kita lagi lain lalu
        lebih maka mana manakah masih mengapa menjadi mereka merupakan namun nya oleh pada paling para pun
        saat saja sampai sangat saya sebagai sebelum seberapa sebuah secara sedang sehingga sejak selama
        semua seperti serta setelah setiap siapa siapakah suatu sudah supaya tapi telah tentang terhadap
        tersebut tetapi tidak untuk yaitu yang
    """,
    "is": """
        af alla allir allt að ef eftir ein einn eitt ekki en er eru eða fram frá fyrir hafa hafði hann hans
        hefur hefði hjá hvar hvað hvaða hve hvenær hver hverjir hvernig hvers hvort há hér hún inn já kom
        með meðal mig mjög mér nær né nú og sem sig sinn svo sá sér sín sínum síðan sú til um undir upp var
        varð vegna vera verið við voru yfir á ég í úr út þar þau það þegar þeim þeir þeirra þess þessi þetta
        því þá þær þó
    """,
    "it": """
        a ad agli ai al all' alla alle allo anche ancora aveva avevano c' che chi ci cioè ciò come con
        contro cosa così cui d' da dagli dai dal dall' dalla dalle dallo degli dei del dell' della delle
        dello di dopo dov' dove due durante e ed egli ella era erano essa essere essi esso fa fino fra fu
        furono gli ha hanno ho i il in io l' la le lei li lo loro lui ma me mentre mi mia mio molti molto ne
        negli nei nel nell' nella nelle nello no noi non nostro né o od ogni per perché però più poi poiché
        prima qual quale quali quand' quando quant' quanta quante quanti quanto quegli quel quella quelle
        quelli quello quest' questa queste questi questo qui s' se sei senza si sia siamo sono sotto stata
        state stati stato su sua sue sugli sui sul sull' sulla sulle sullo suo suoi tra tu tutte tutti tutto
        un un' una uno v' vi voi è
    """,
    "ja": """
        あ あの あり ある い いう いく いた いつ いる う うな え お およ か から が き ぎ く くつ くら ぐ け
        げ こ こと この これ ご さ され ざ し した して じ す する ず せ ぜ そ その それ ぞ た ため だ だれ
        ち ぢ っ った って つ づ て てい で です では と とい とし とは ど どう どこ どの どれ どん な ない
        なぜ など なに に には ぬ ね の のは は ば ひ び ふ ぶ へ べ ほ ぼ ま まし ます また まで み む め
        も もの ゃ や ゅ ゆ ょ よ よう よび ら らい り る れ れた れる ろ わ を ん んな ー 何 何が 何で 何の
        何を 誰
    """,
    "ko": """
        가 것 것은 것을 것이 그 그것 그녀는 그는 그들 그러나 그리고 나 나는 너 누가 누구 누구를 누구의
        누구인가 누구인가요 누구입니까 는 다른 대한 대해 더 되는 되었다 된 등 때 때문에 또는 또한 많은 몇
        모든 무슨 무엇 무엇을 무엇이 무엇인가 무엇인가요 무엇인지 무엇입니까 및 수 어느 어디 어디서 어디에
        어디에서 어디인가 어디입니까 어떠한 어떤 어떻게 언제 언제입니까 얼마 얼마나 에서 왜 우리 우리는 위한
        위해 은 의해 이 이것 이는 이다 인가요 입니다 있나요 있는 있다 있습니까 있습니다 있었다 저 저는 하고
        하나요 하는 하지만 한 할 합니까 했나요 했다 했습니까
    """,
    "lt": """
        ant apie ar arba aš be bei bet buvo būti būtų dar dėl iki ir iš jau jei ji jie jis jo jos jų kad
        kada kai kaip kam kas kiek ko kodėl kokia kokie kokios koks kur kuri kurie kurio kurios kuris ką
        labai man mano mes ne nei nes net nuo nėra o pagal pat per po prie prieš sau savo su tai taip tas
        tačiau ten tie to toks tu turi už vienas visi visų yra čia į
    """,
    "lv": """
        ar arī bet bez bija bijis būt caur cik dažas dēļ es gan ir ja jau jo ka kad kam kas ko kopš kur kura
        kuras kuri kurā kurš kā kāda kādas kādi kāds kādā kādēļ kāpēc līdz man mēs mūsu nav ne nevis no nu
        pa par pat pie pirms pret pēc savas savu starp tad tas te tie tiek tika to tur tā tās un uz vai
        vairāk virs viņa viņas viņi viņš vēl zem šis šo šī
    """,
    "mr": """
        अनेक असलेल्या असा असून असे आणि आता आपल्या आहे आहेत एक एका कधी कसे का काय किती की कुठे केला केली केले
        कोण कोणता कोणती कोणते कोणत्या कोणी जे जो झाला झाली झाले तर तसेच ती ते तो त्या त्यांच्या त्यांनी
        त्याच्या त्याने नंतर नाही पण पर्यंत मध्ये माझ्या मात्र म्हणून या याच्या येथे व वर सर्व साठी हा ही हे
        होता होती होते होतो
    """,
    "ms": """
        ada adalah akan anda antara apa apakah atas atau bagaimana bagi bahawa banyak beberapa berapa bila
        boleh bukan dalam dan dapat dari daripada dengan di dia ia ialah ini itu jika juga kami kepada
        kerana ketika kita lagi lain lebih mana manakah mengapa mereka merupakan namun oleh pada paling para
        pula sahaja sangat saya sebagai sebelum sebuah secara sehingga sejak selepas semasa semua seperti
        serta setiap siapa siapakah sudah telah tentang terhadap tersebut tetapi tidak untuk yang
    """,
    "ne": """
        अनि अब अर्को आदि आफ्नो उनको उनले उनी एउटा एक कति कसको कसरी कसले कहाँ कहिले कि किन कुन के को कोही गरी
        गरेका गरेको गर्न गर्ने छ छन् छैन जब जसले जुन तथा तर त्यस त्यो थिए थियो देखि द्वारा न नै पछि पनि पर्छ
        बाट बारे भए भएका भएको भने भन्ने मा मात्र यति यस यसको यो र रहेको लाई लागि ले वा सँग सबै साथ हुन हुने
        हुन्छ हो
    """,
    "nl": """
        aan al alle alleen als altijd andere ben bent bij daar dan dat de der deze die dit doen door dus
        echter een en er ge geen geweest had hadden heb hebben heeft heel hem het hier hij hoe hoeveel hun
        iets ik in is je kan kunnen maar me meer men met mij mijn na naar niet niets nog nu of om omdat
        onder ons onze ook op over reeds te tegen ten ter tijdens toch toen tot tussen u uit uw van veel
        volgens voor waar waarin waarmee waarom wanneer want waren was wat we welk welke werd werden wie
        wiens wij wil worden wordt zal ze zelf zich zij zijn zo zoals zonder zou zouden
    """,
    "no": """
        alle at av bare begge ble blei bli blir både da de deg dei deira dem den denne der deres det dette
        di din disse ditt du eg ein eit eitt eller en enn er et etter for fordi fra frå få før ha hadde han
        hans har hele henne hennes her hva hvem hver hvilke hvilken hvilket hvis hvor hvordan hvorfor i ikke
        ikkje inn ja jeg kan kom korleis kunne kva kvar kven kvifor man mange med meg mellom men mer mest
        min mitt mot mye må ned noe noen nå når og også om opp oss over på seg selv sin sine sitt skal
        skulle slik som så til um under ut var vart ved vere vi vil ville vår være vært å
    """,
    "pl": """
        a aby albo ale ani bardzo bez by być był była było były czego czemu czy czyli dla do gdy gdzie go i
        ich ile ilu im inne innych ja jak jaka jaki jakich jakie jakiej jakim jako je jednak jego jej jest
        jeszcze jeśli już kiedy kim kogo komu kto która które którego której który których którym którzy
        którą lub ma mają mi między mnie może można mu my na nad nam nas nich nie nim niż o od on ona one
        oni oraz po pod podczas ponieważ poza przed przez przy się skąd sobie swoje swojego swoją są ta tak
        także tam te tego tej ten to tych tylko tym u w we wielu więc wszystkie wszystko z za ze został
        została zostały że żeby
    """,
    "pt": """
        a ao aos após aquela aquelas aquele aqueles as até com como contra cujo da das de dela dele deles
        depois desde do dos durante e ela elas ele eles em entre era eram essa essas esse esses esta estar
        estas estava este estes está estão eu foi foram há isso isto já lhe lhes mais mas me mesmo meu meus
        minha muito muitos na nas nem no nos nossa nosso num numa não nós o onde os ou outra outras outro
        outros para pela pelas pelo pelos pois por porque porquê quais qual quando quanta quantas quanto
        quantos que quem quê se sem ser será seu seus sido sob sobre sua suas são também tem tinha tinham
        toda todas todo todos tu tua têm um uma umas uns você vocês às é
    """,
    "ro": """
        a acea aceasta această aceea acei aceia acel acela acele acelea acest acesta aceste acestea acestei
        acestor acestui acolo acum ai al ale alt alta alte altă alți am ar are asta astfel asupra atunci au
        avea avut ca care ce cei cel cele celor cine cu cui cum când cât câte câți că cărei căror cărui
        către da dacă dar de deci decât deoarece despre din dintre do doar după ea ei el ele era erau este
        eu există fi fie fiecare fiind foarte fost iar la le li lor lui mai mult multe mulți ne nici nu o
        ori pe pentru peste prin până sa sale sau se sub sunt să săi său toate tot toți un unde unei unele
        unor unui va vor îi îl îmi în înainte între îți și
    """,
    "ru": """
        а без более бы был была были было быть в вам вас ведь весь во вот все всего всех вы где да даже для
        до его ее если есть еще ещё её же за зачем здесь и из или им их к как какая какие каким каких какого
        какое какой каком кем когда кого ком кому которая которого которое которой котором которую которые
        который которых кто куда ли либо между меня мне многие может мой мы на над надо нас не него нее нет
        неё ни них но ну о об однако он она они оно от откуда по под после потом потому почему при про с сам
        свое своего свои своих сколько со так также такой там те тем то того тоже той только том тот ту ты у
        уже хотя чего чей чем чему через что чтобы чье чьи чья эта эти этих это этого этой этом этот эту я
        является
    """,
    "sk": """
        a aby aj ako aká aké aký ale alebo ani asi až bez bol bola boli bolo bude budú by byť do ho i iba
        ich ja je jeho jej k kam kde kedy keď koľko kto ktorej ktorá ktoré ktorého ktorí ktorý ku ma majú
        mať medzi mi má na nad nie niektorý nám nás o od ona oni po pod podľa pokiaľ potom pre pred pretože
        prečo pri s sa si sme so som ste svoj svoje sú tak takže tam tento to toho tom tomu toto tu ty táto
        tým u už v vo však z za zo áno či čo ďalší že
    """,
    "sl": """
        ali bi bil bila bile bili bilo biti bo bodo da do ga ima imajo in iz je jih jim jo k kaj kako kakšen
        kakšna kam kar katera katere kateri katero kdaj kdo ker ki kje ko koliko kot lahko le med mi na nad
        naj ne ni njegov njen njih o ob od on ona oni pa po pod pred pri proti s saj se sem si smo so ste
        svoj ta tako tam te tega ter ti to tudi v vendar več z za zakaj če čez že
    """,
    "sq": """
        ai ajo ama apo as asnjë ata ato cila cilat cili cilën cilët deri dhe do duke e edhe i ishin ishte
        jam janë je ka kanë kjo ku kur kush ky këta këtë mbi me midis më nga një nuk në nëse o pa pas por
        prej pse për përse sa saj se si tek tij tyre të u une unë veten vetëm çfarë është
    """,
    "sr": """
        a ako ali bi bila bili bilo bio biti da do dok dva ga gde gdje i ih ili im iz ja je jedan jer još
        kad kada kakav kako kakva kao ko kog koja koje koji kojih kojim kojoj koliko kroz kuda li me među mi
        mu na nad nakon ne nego neki nije nisu njegov njen njih no o od on ona oni ono ova ovaj ove ovo po
        pod posle pre prema pri s sa samo se smo su svi svoj ta tada taj tako te tko to toga tom u uz va već
        više za zašto zbog će šta što а ако али би била били било био бити већ више га где да до док за
        зашто због и из или им их кад када какав каква како као ко ког колико која које који којим којих
        којој кроз ли међу ми му на над након не него неки нису није о ова овај ове ово од он она они оно по
        под после пре према при с са само сви свој се смо су та тада тако тај те то тога том у уз шта што ја
        је један јер још његов њен њих ће
    """,
    "sv": """
        alla allt att av bara blev bli blir både de dem den denna deras dess dessa det detta dig din dina
        ditt du där då efter ej eller en er ett fick från få för genom ha hade han hans har henne hennes hon
        honom hur här i icke in ingen innan inom inte jag ju kan kommer kunde man med mellan men mer mig min
        mina mitt mot mycket många måste ni nu när någon något några och också om oss på samt sedan sig sin
        sina sitt ska skall skulle som så till under upp ut utan vad var vara varför varit varje vars vart
        vem vems vi vid vilka vilkas vilken vilket vill än är åt över
    """,
    "sw": """
        alikuwa ambao ambaye ambayo ana au baada bado bila cha gani hadi hata hayo hii hivyo hiyo hizo huo
        huyo ikiwa ila ili ilikuwa ingawa ipi je juu kabla kama kati katika kila kisha kutoka kuwa kwa
        kwamba kwenye la lakini lini lipi mbele moja mpi mwa na nani ndani ngapi ni nini nje pamoja pia sana
        sasa si tu upi vile wa wakati wake wala walikuwa wangu wao wapi wote ya yake yao yeye yupi za zaidi
        zake zao zipi
    """,
    "ta": """
        அதன் அது அந்த அவன் அவர் அவர்கள் அவள் ஆகிய ஆகும் ஆனால் இதன் இது இந்த இருந்தது இருந்து இல்லை உள்ள
        உள்ளது எங்கு எங்கே எது எதை எத்தனை எந்த என என்ன என்ற என்று எப்படி எப்போது எவ்வளவு ஏன் ஒரு கொண்டு தான்
        பற்றி பல பின் போன்ற மட்டும் மற்றும் முன் மூலம் யார் வரை வேண்டும்
    """,
    "te": """
        అతని అతను అది అని ఆ ఆమె ఇది ఈ ఉంది ఉన్న ఉన్నాయి ఎంత ఎందుకు ఎక్కడ ఎన్ని ఎప్పుడు ఎలా ఎవరు ఏ ఏది ఏమి
        ఏమిటి ఒక కానీ కు కోసం గురించి తన తో నుండి పేరు మరియు మీద యొక్క లేదా లో వరకు వారు
    """,
    "tl": """
        ako alin ang ano anong at ay ayon ba bago bakit bilang dahil din dito gaano hanggang hindi ilan
        ilang ito iyon kailan kanilang kanyang kapag kay kung lamang may mga mula na nang ng ngunit ni nila
        nito niya o paano pang para rin sa saan sila sino sinong siya subalit tungkol upang
    """,
    "tr": """
        acaba ama ancak arasında artık aslında bana bazı belki ben beni benim bile bir biraz biri birkaç biz
        bu buna bunda bundan bunlar bunu bunun burada da daha dahi de defa değil diye dolayı en fakat gibi
        göre hangi hangisi hatta hem hepsi her herhangi hiç ile ilgili ise için işte kadar kaç kendi ki kim
        kimdir kime kimi kimin mi mu mü mı nasıl ne neden nedir nerede nereden neresi nereye niye niçin o
        olan olarak oldu olduğu olmak olup olur on ona ondan onlar onların onu onun orada oysa pek rağmen
        sadece sanki sen siz sonra tarafından tüm var ve veya ya yani yerine yine yok zaten çok çünkü üzere
        şey şu
    """,
    "uk": """
        а або але без би був була були було бути більше в вам вас вже ви вона вони воно все всі втім від він
        де для до дуже з за зі й його ким кого коли кому котрий куди лише мене ми може між на навіть над нас
        не нею ним них но ні однак от по при про протягом під після саме своєї своїх свій себе скільки та
        так такий також там те ти то тобто того той тому тільки у усі хоча хто це цей цього цю ця ці через
        чи чий чия чиї чого чому що щоб я як яка яке який яких якого якому якою якої яку якщо які і із їй їм
        їх її
    """,
    "ur": """
        آپ اس اسی اسے ان اور اپنا اپنی اپنے اگر ایک بعد بھی بہت تا تو تک تھا تھی تھے جا جاتا جاتی جاتے جب جس
        جو دیا رہا رہی رہے ساتھ سکتا سے طرح لئے لیکن لیے مگر میں نہیں نے وہ پر پھر ک کا کب کتنا کتنی کتنے کر
        کرتا کرتے کرنے کس کسی کو کوئی کون کچھ کہ کہا کہاں کی کیا کیسے کیوں کے گئی گئے گا گی ہو ہوئے ہوا ہوتا
        ہوتی ہوتے ہی ہیں ہے یا یہ
    """,
    "vi": """
        ai bao bằng bị bởi cho chúng chưa chỉ các cái còn có cùng cũng cả của do gì hay hoặc hơn họ khi
        không là lên lúc lại mà mình mỗi một ngoài nhiêu như nhưng những nào này nên nó nếu ra rất rằng rồi
        sao sau sẽ theo thì thế trong trên trước tại tất từ từng việc và vào vì vẫn vậy về với vừa đang đâu
        đây đã đó được đến đều để ở
    """,
    "zh": """
        一个 一個 与 为 为什 为何 么 之 也 了 于 什 什么 什麼 从 以 何处 何时 何時 何處 其 几 及 吗 吧 呢 和
        哪 哪一 哪个 哪些 哪個 哪儿 哪裡 哪里 啊 嗎 在 多少 如何 将 將 就 幾 從 怎么 怎样 怎樣 怎麼 或 把 於
        是 是否 是谁 為 為什 為何 的 着 而 與 著 被 誰 谁 谁是 这个 这些 這些 這個 那个 那些 那個 都 麼
    """,
}

LANGUAGES = frozenset(_WORDS)


@functools.cache
def stop_words(language: str) -> frozenset[str]:
    """The words of the list, lower case, NFKC, with a straight apostrophe; empty for a language that has no list."""
    return frozenset(_WORDS.get(language, "").split())
